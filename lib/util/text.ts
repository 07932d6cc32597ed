/** The largest number of characters that a message shows of a foreign string. */
const LONGEST = 200

/**
 * Makes a string from a file safe for messages, terminals and tables: at most `longest` characters (200 by default), with
 * control, format and bidirectional characters and lone surrogates escaped like `\u{9b}`. The zero-width joiner and
 * non-joiner stay, because emoji and several scripts need them.
 */
export function printable(text: string, longest = LONGEST): string {
  // A character takes at most two UTF-16 units, so this avoids splitting a text of megabytes.
  const characters = [...text.slice(0, 2 * longest + 2)]
  const isCut = characters.length > longest || text.length > 2 * longest + 2
  const shown = (isCut ? characters.slice(0, longest - 1) : characters).join('')
  const escaped = shown.replace(
    /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu,
    character => `\\u{${character.codePointAt(0)!.toString(16)}}`,
  )
  return isCut ? `${escaped}…` : escaped
}
