// Shortens the names of classes to the space that a chart has for them.

/**
 * Shortens names to at most `longest` columns so that all stay different. A long name loses its middle; names that would
 * then be the same show the part in which they differ instead.
 */
export function shortLabels(labels: readonly string[], longest: number): string[] {
  const short = labels.map(label => cutMiddle(label, longest))
  for (const group of alike(short)) {
    const start = commonLength(group.map(index => labels[index]!))
    for (const index of group) short[index] = cutStart(labels[index]!, start, longest)
  }
  for (const group of alike(short)) {
    for (const index of group) short[index] = `${cutMiddle(labels[index]!, longest - 7)} #${index}`
  }
  return short
}

/** The indices of each set of equal names. */
function alike(labels: readonly string[]): number[][] {
  const groups = new Map<string, number[]>()
  for (const [index, label] of labels.entries()) {
    const group = groups.get(label)
    if (group === undefined) groups.set(label, [index])
    else group.push(index)
  }
  return [...groups.values()].filter(group => group.length > 1)
}

function cutMiddle(label: string, longest: number): string {
  if (columns(label) <= longest) return label
  const characters = [...label]
  const end = take(characters.toReversed(), Math.floor((longest - 1) / 3)).toReversed()
  const start = take(characters, longest - 1 - columns(end.join('')))
  return `${start.join('').trimEnd()}…${end.join('').trimStart()}`
}

/** The beginning of a name and the part from a little before `start`, so that it reads as part of a word. */
function cutStart(label: string, start: number, longest: number): string {
  const characters = [...label]
  const head = take(characters, Math.floor(longest / 4))
  const from = Math.max(head.length, start - 3)
  const rest = characters.slice(from)
  const room = longest - 2 - columns(head.join(''))
  const shown = take(rest, room)
  return `${head.join('')}${from > head.length ? '…' : ''}${shown.join('')}${shown.length < rest.length ? '…' : ''}`
}

function take(characters: readonly string[], room: number): string[] {
  const taken: string[] = []
  for (const character of characters) {
    room -= columns(character)
    if (room < 0) break
    taken.push(character)
  }
  return taken
}

/** Chinese, Japanese and Korean characters, and emoji, are about twice as wide as other characters. */
const columns = (text: string): number =>
  [...text].reduce((sum, character) => sum + (character.codePointAt(0)! >= 0x1100 ? 2 : 1), 0)

/** The length of the longest common prefix of the names, in characters. */
function commonLength(names: readonly string[]): number {
  const [first = [], ...others] = names.map(name => [...name])
  const differs = first.findIndex((character, at) => others.some(other => other[at] !== character))
  return differs === -1 ? first.length : differs
}
