import { resolve } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { openRegular } from '../util/files.js'
import { is } from '../util/is.js'
import { printable } from '../util/text.js'
import { splitFiles } from './annotations.js'
import { type ChosenColumns, type Columns, chooseColumns, columnNames, imagePath } from './columns.js'
import type { SampleDataset, SplitName } from './dataset.js'
import type { CsvError } from './libraries.js'
import { MOST_LINE, readLines, unreadable } from './lines.js'
import {
  checkSourceOptions,
  datasetOfRecords,
  type ImageRecord,
  labelText,
  type SourceOptions,
} from './records.js'

export interface TableOptions extends SourceOptions, Columns {}

/** One file, which may have a column `split`, or one file for each split. */
export type SplitFiles = string | Partial<Record<SplitName, string>>

/**
 * Opens a data set from a CSV file with a header and one line for each image: `path,label` or `path,label,split`. The separator
 * is a comma, a semicolon or a tab, whichever the header has. A relative path is relative to the file's own folder, and may lead
 * out of it.
 *
 * ```ts
 * await fromCsv('birds.csv', { image: 'photo', label: 'species' })
 * ```
 *
 * @throws ERR_DATASET if the file cannot be read or lacks a column, or has an invalid line, which the message names.
 */
export function fromCsv(files: SplitFiles, options: TableOptions = {}): Promise<SampleDataset> {
  return fromTable(files, options, csvRows)
}

/**
 * Opens a data set from a JSON Lines file with one object for each image: `{"image": "a.jpg", "label": "ant", "split": "train"}`.
 * Paths work as in {@link fromCsv}.
 *
 * @throws ERR_DATASET if the file cannot be read, or has an invalid line, which the message names.
 */
export function fromJsonLines(files: SplitFiles, options: TableOptions = {}): Promise<SampleDataset> {
  return fromTable(files, options, jsonRows)
}

interface Row {
  line: number
  get(column: string): unknown
  columns: readonly string[]
}

type ReadRows = (path: string, signal: AbortSignal | undefined) => AsyncIterable<Row>

async function fromTable(files: SplitFiles, options: TableOptions, read: ReadRows): Promise<SampleDataset> {
  checkSourceOptions(options, columnNames)
  const paths = splitFiles(files)
  const [source] = paths.values()
  const isOne = is.string(files)
  const records = (async function* () {
    for (const [split, path] of paths) yield* recordsOf(path, isOne ? undefined : split, options, read)
  })()
  return datasetOfRecords({ root: rootOf(source!), source: source!, records }, options)
}

const rootOf = (file: string): string => resolve(file, '..')

async function* recordsOf(
  path: string,
  split: SplitName | undefined,
  options: TableOptions,
  read: ReadRows,
): AsyncGenerator<ImageRecord> {
  let columns: ChosenColumns | undefined
  let chosenFrom: string | undefined
  for await (const row of read(path, options.signal)) {
    const where = `${path}:${row.line}`
    const names = row.columns.join('\0')
    // The objects in a JSON Lines file may have different keys.
    if (columns === undefined || names !== chosenFrom) columns = chooseColumns(row.columns, options, where)
    chosenFrom = names
    const image = row.get(columns.image)
    if (typeof image !== 'string') {
      throw new VisionTorchError(
        'ERR_DATASET',
        `${where}: expected the path of an image, got ${printable(String(image), 40)}`,
      )
    }
    const named = columns.split === undefined ? undefined : row.get(columns.split)
    yield {
      where,
      path: imagePath(image, path, where),
      label: labelText(row.get(columns.label), where),
      split: split ?? (named === undefined ? undefined : String(named)),
    }
  }
}

async function* csvRows(path: string, signal: AbortSignal | undefined): AsyncGenerator<Row> {
  const delimiter = await delimiterOf(path, signal)
  const { parseCsv } = await import('./libraries.js')
  const { file } = await openRegular(path).catch(error => Promise.reject(unreadable(path, error)))
  const bytes = file.createReadStream({ signal })
  const parser = bytes.pipe(
    parseCsv({ bom: true, delimiter, info: true, maxRecordSize: MOST_LINE, skipEmptyLines: true }),
  )
  bytes.once('error', error => parser.destroy(error))
  let columns: string[] | undefined
  let indices = new Map<string, number>()
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: string[]
      info: { lines: number }
    }>) {
      if (record.some(field => field.includes('\ufffd') || field.includes('\0'))) {
        throw new VisionTorchError(
          'ERR_DATASET',
          `${path}:${info.lines}: is not UTF-8 text. Save the file as UTF-8`,
        )
      }
      if (columns === undefined) {
        columns = record
        indices = new Map(record.map((name, index) => [name, index]))
      } else yield { line: info.lines, columns, get: column => record[indices.get(column)!] }
    }
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof VisionTorchError) throw error
    const { code } = error as CsvError
    if (!String(code).startsWith('CSV_')) throw unreadable(path, error)
    const message = printable((error as Error).message, 200)
    throw new VisionTorchError('ERR_DATASET', `${path}: is not a CSV file: ${message}. Correct the line`, {
      cause: error,
    })
  } finally {
    bytes.destroy()
  }
}

/** The separator that occurs most often in the header, outside of quotes. */
async function delimiterOf(path: string, signal: AbortSignal | undefined): Promise<string> {
  let header = ''
  for await (const lines of readLines(path, signal)) {
    header = lines.find(line => line.trim() !== '') ?? ''
    if (header !== '') break
  }
  const bare = header.replace(/"(?:[^"]|"")*"/g, '')
  const count = (delimiter: string) => bare.split(delimiter).length
  return [',', ';', '\t'].reduce((best, delimiter) => (count(delimiter) > count(best) ? delimiter : best))
}

async function* jsonRows(path: string, signal: AbortSignal | undefined): AsyncGenerator<Row> {
  let line = 0
  for await (const lines of readLines(path, signal)) {
    for (const text of lines) {
      line++
      if (text.trim() === '') continue
      const object = parseObject(text, `${path}:${line}`)
      yield {
        line,
        columns: Object.keys(object),
        get: key => (Object.hasOwn(object, key) ? object[key] : undefined),
      }
    }
  }
}

function parseObject(text: string, where: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (is.object(value)) return value
  } catch {
    // reported below
  }
  throw new VisionTorchError(
    'ERR_DATASET',
    `${where}: expected a JSON object, such as {"image": "a.jpg", "label": "ant"}, got '${printable(text, 80)}'`,
  )
}
