import { VisionTorchError } from '../util/errors.js'
import { encodeName, toPath, unescapeName } from '../util/file-name.js'
import { invalid, is } from '../util/is.js'
import { printable } from '../util/text.js'
import { readLines } from './lines.js'

/** Why a name cannot be a class name, or undefined if it can: `cls_classes.txt` has one name per line. */
export function classNameProblem(name: string): string | undefined {
  if (/[\r\n\u2028\u2029]/.test(name)) return 'contains a line break'
  if (/\p{Cc}/u.test(name)) return 'contains a control character'
  if (name.includes('\ufffd'))
    return 'contains U+FFFD, the replacement for a character that a conversion lost'
  return name.trim() === '' ? 'is blank' : undefined
}

/** @throws ERR_INVALID_ARGUMENT for anything but an array of valid class names. */
export function checkClassNames(name: string, value: unknown): readonly string[] {
  if (!Array.isArray(value) || value.length === 0) throw invalid(name, 'an array of class names', value)
  for (const [index, entry] of value.entries()) {
    if (!is.string(entry)) throw invalid(`${name}[${index}]`, 'a non-empty string', entry)
    const fault = classNameProblem(entry)
    if (fault === undefined) continue
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      `${name}[${index}]: the class name '${printable(entry, 60)}' ${fault}. Rename the class`,
    )
  }
  return value
}

/** Checks the class names of a data set: at least two, all different. `source` names the argument or the file. */
export function checkDatasetClasses(source: string, value: unknown): readonly string[] {
  const names = checkClassNames(source, value)
  if (names.length < 2) throw problem(source, `expected at least two class names, got ${names.length}`)
  const seen = new Map<string, number>()
  for (const [index, name] of names.entries()) {
    const before = seen.get(name)
    if (before !== undefined)
      throw problem(
        source,
        `expected different class names, but numbers ${before + 1} and ${index + 1} are both '${printable(name, 60)}'. Give every class its own name`,
      )
    seen.set(name, index)
  }
  return names
}

/**
 * Reads class names, one per line, as in `cls_classes.txt`. White space around a name is removed.
 * @throws ERR_DATASET naming the invalid line.
 */
export async function readClasses(path: string, signal?: AbortSignal): Promise<readonly string[]> {
  const lines: string[] = []
  for await (const slice of readLines(path, signal)) lines.push(...slice)
  while (lines.at(-1)?.trim() === '') lines.pop()
  const names = lines.map((line, index) => {
    const where = `${path}:${index + 1}`
    if (toPath(line) !== line) throw problem(where, notUtf8(line))
    if (line.includes('\0'))
      throw problem(where, 'contains zero bytes. If the file is UTF-16, save it as UTF-8')
    const name = unescapeName(line.trim())
    if (name === '')
      throw problem(where, 'is empty, but every line counts as a class. Remove the line, or name the class')
    const fault = classNameProblem(name)
    if (fault !== undefined)
      throw problem(where, `the class name '${printable(name, 60)}' ${fault}. Correct it`)
    return name
  })
  if (names.length < 2)
    throw problem(path, `expected at least two class names, one per line, got ${names.length}`)
  return checkDatasetClasses(path, names)
}

function notUtf8(line: string): string {
  const bytes = encodeName(line)
  const encoding = guessEncoding(bytes)
  const shown = printable(new TextDecoder(encoding).decode(bytes).trim(), 60)
  return `is not UTF-8. It reads '${shown}' if it is ${encoding}. Save the file as UTF-8: iconv -f ${encoding} -t UTF-8 OLD > NEW`
}

/** The most likely encoding, guessed from the bytes. */
function guessEncoding(line: Buffer): string {
  const text = line.toString('latin1')
  // In GB 2312, characters are pairs of bytes from 0xa1 up; in Shift_JIS, they begin with 0x81 to 0x9f or 0xe0 to 0xef.
  if (/^(?:[\0-\x7f]|[\xa1-\xfe]{2})*$/.test(text)) return 'GBK'
  if (/^(?:[\0-\x7f\xa1-\xdf]|[\x81-\x9f\xe0-\xef][\x40-\xfc])*$/.test(text) && /[\x81-\x9f]/.test(text))
    return 'SHIFT_JIS'
  return 'WINDOWS-1252'
}

const problem = (source: string, message: string): VisionTorchError =>
  new VisionTorchError('ERR_DATASET', `${source}: ${message}`)
