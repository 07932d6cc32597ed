/** The longest foreign string that a message shows, in characters. */
const LONGEST = 200

/**
 * A string from a file as it can be shown in a message, on a terminal and in a table: at most `longest` characters
 * (200 by default) of its text, with control, format and bidirectional characters and lone surrogates as `\u{9b}`. The
 * zero-width joiner and non-joiner stay, because emoji and several scripts are written with them.
 */
export function printable(text: string, longest = LONGEST): string {
  // A character takes at most two UTF-16 units, so that a text of megabytes is never split as a whole.
  const characters = [...text.slice(0, 2 * longest + 2)]
  const isCut = characters.length > longest || text.length > 2 * longest + 2
  const shown = (isCut ? characters.slice(0, longest - 1) : characters).join('')
  const escaped = shown.replace(
    /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    character => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  )
  return isCut ? `${escaped}…` : escaped
}
