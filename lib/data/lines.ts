import { VisionTorchError } from '../util/errors.js'
import { decodeName } from '../util/file-name.js'
import { openRegular } from '../util/files.js'

/** The longest line of a text file, in characters. A file with longer lines is probably not a text file. */
export const MOST_LINE = 1 << 20

/**
 * Yields the lines of a text file in slices, without line ends (`\n`, `\r\n` or `\r`) and without a byte order mark. The
 * mark identifies UTF-16, which Windows PowerShell writes. Bytes that are not UTF-8 are decoded by {@link decodeName},
 * because file names need not be UTF-8.
 * @throws ERR_DATASET if the file cannot be read.
 */
export async function* readLines(path: string, signal?: AbortSignal): AsyncGenerator<string[]> {
  // node:readline is no option: it also breaks lines at U+2028 and U+2029, which a file name may contain.
  let rest = ''
  let decode: ((bytes: Buffer, last: boolean) => string) | undefined
  let isFirst = true
  const finish = (lines: string[]): string[] => {
    const names = decode === latin1 ? lines.map(line => decodeName(Buffer.from(line, 'latin1'))) : lines
    if (isFirst && names.length > 0) {
      names[0] = names[0]!.replace(/^\ufeff/, '')
      isFirst = false
    }
    return names
  }
  try {
    const { file } = await openRegular(path)
    for await (const chunk of file.createReadStream({ signal }) as AsyncIterable<Buffer>) {
      decode ??= decoderOf(chunk)
      const lines = (rest + decode(chunk, false)).split(/\r\n|\n|\r(?!$)/)
      rest = lines.pop()!
      if (rest.length > MOST_LINE) {
        throw new VisionTorchError(
          'ERR_DATASET',
          `${path}: expected lines of text, got one of more than ${MOST_LINE.toLocaleString('en')} characters. Give another file`,
        )
      }
      yield finish(lines)
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw unreadable(path, error)
  }
  yield finish([(rest + (decode?.(Buffer.of(), true) ?? '')).replace(/\r$/, '')])
}

/** Represents each byte by a character, so that lines are split before names are decoded. */
const latin1 = (bytes: Buffer): string => bytes.toString('latin1')

function decoderOf(start: Buffer): (bytes: Buffer, last: boolean) => string {
  const mark = start.subarray(0, 2).toString('hex')
  if (mark !== 'fffe' && mark !== 'feff') return latin1
  const decoder = new TextDecoder(mark === 'fffe' ? 'utf-16le' : 'utf-16be')
  return (bytes, last) => decoder.decode(bytes, { stream: !last })
}

/** The error for a file of a data set that cannot be read. */
export function unreadable(path: string, cause: unknown): VisionTorchError {
  if (cause instanceof VisionTorchError) return new VisionTorchError('ERR_DATASET', cause.message, { cause })
  const { code, message } = cause as NodeJS.ErrnoException
  return new VisionTorchError(
    'ERR_DATASET',
    `${path}: cannot be read (${code ?? message}). Check that the file is there`,
    { cause },
  )
}
