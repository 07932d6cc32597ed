import type { FileHandle } from 'node:fs/promises'
import { extname } from 'node:path'
import type { ScoredImage } from '../evaluate/evaluate.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { refuse } from '../util/is.js'
import { csv } from './csv.js'

/** Rows are written to the file each time they reach this many characters. */
const CHUNK = 1 << 16

const formats: Readonly<Record<string, Format>> = {
  '.csv': {
    header: classes => csv([['file', 'class', 'predicted', ...classes]]),
    row: ({ file, label, predicted, scores }) => csv([[file, label, predicted, ...digits(scores)]]),
  },
  '.jsonl': {
    header: () => '',
    row({ file, label, predicted, scores }, classes) {
      const rounded = digits(scores)
      const ofClasses = Object.fromEntries(classes.map((name, i) => [name, rounded[i]]))
      return `${JSON.stringify({ file, class: label, predicted, scores: ofClasses })}\n`
    },
  },
}
interface Format {
  header(classes: readonly string[]): string
  row(image: ScoredImage, classes: readonly string[]): string
}

/** A float32 has seven digits. */
const digits = (scores: Float32Array): number[] => Array.from(scores, score => Number(score.toPrecision(7)))

/** @throws ERR_INVALID_ARGUMENT if the file name of predictions does not end in `.csv` or `.jsonl`. */
export function checkPredictionsFile(path: string): Format {
  const format = formats[extname(path).toLowerCase()]
  if (format !== undefined) return format
  throw refuse(`predictions: expected a file name that ends in .csv or .jsonl, got ${path}`, 'predictions')
}

/**
 * Replaces the file with one row for each image that `run` passes: its file, class, predicted class, and the probability of
 * every class. If `run` fails, the old file stays.
 */
export async function writePredictions<T>(
  path: string,
  classes: readonly string[],
  run: (add: (image: ScoredImage) => Promise<void>) => Promise<T>,
): Promise<T> {
  const format = checkPredictionsFile(path)
  let outcome: { value: T } | undefined
  let failure: unknown
  const write = async (file: FileHandle) => {
    let pending = format.header(classes)
    const flush = async () => {
      await file.writeFile(pending).catch(error => Promise.reject(cannotWrite(path, error)))
      pending = ''
    }
    try {
      const value = await run(async image => {
        pending += format.row(image, classes)
        if (pending.length >= CHUNK) await flush()
      })
      await flush()
      outcome = { value }
    } catch (error) {
      failure = error // also for an AbortError, which has nothing to do with the file
      throw error
    }
  }
  await replaceFile(path, write).catch(error => Promise.reject(failure ?? error))
  return outcome!.value
}
