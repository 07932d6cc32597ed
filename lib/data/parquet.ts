import type { FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import zlib from 'node:zlib'
import { VisionTorchError } from '../util/errors.js'
import { openRegular } from '../util/files.js'
import { is } from '../util/is.js'
import { printable } from '../util/text.js'
import { classNameProblem } from './class-names.js'
import { type ChosenColumns, type Columns, chooseColumns, columnNames, imagePath } from './columns.js'
import type { SampleDataset, SplitName } from './dataset.js'
import { ImageStore } from './image-store.js'
import type { AsyncBuffer, Compressors, FileMetaData } from './libraries.js'
import { unreadable } from './lines.js'
import {
  checkSourceOptions,
  datasetOfRecords,
  type ImageRecord,
  labelText,
  type SourceOptions,
} from './records.js'
import { type Shards, shardFiles } from './shards.js'

export interface ParquetOptions extends SourceOptions, Columns {}

/**
 * Opens a data set in Parquet files, as Hugging Face stores images: a column of `{ bytes, path }` or of bytes, and a column of
 * labels, whose names come from the file's metadata. An image without bytes is read from its path, relative to the file's
 * folder. Snappy, gzip, Brotli and Zstandard (with Node 22.15 or later) are supported.
 *
 * Each image is read once, before this resolves. Images are kept in memory, up to a quarter of the free memory, and beyond that
 * in the disk cache until the process ends.
 *
 * ```ts
 * await fromParquet({ train: 'data/train-00000-of-00001.parquet', test: 'data/test-00000-of-00001.parquet' })
 * ```
 *
 * @throws ERR_DATASET if a file cannot be read, is damaged or lacks a column.
 */
export async function fromParquet(shards: Shards, options: ParquetOptions = {}): Promise<SampleDataset> {
  checkSourceOptions(options, columnNames)
  const files = shardFiles(shards)
  const [[first]] = [...files.values()] as [[string]]
  const source = [...files.values()].flat().length === 1 ? first : null
  const parquet = await openParquet(first)
  await parquet.file.close()
  const { names } = featuresOf(parquet, options, first)
  const records = (async function* () {
    const store = new ImageStore()
    for (const [split, paths] of files)
      for (const path of paths) yield* recordsOf(path, split, store, options)
  })()
  return datasetOfRecords({ root: dirname(first), source, records, classes: names }, options)
}

async function* recordsOf(
  path: string,
  split: SplitName,
  store: ImageStore,
  options: ParquetOptions,
): AsyncGenerator<ImageRecord> {
  const { parquetReadObjects } = await import('./libraries.js')
  const parquet = await openParquet(path)
  const { file, buffer, metadata } = parquet
  try {
    const { columns, names } = featuresOf(parquet, options, path)
    const wanted = [columns.image, columns.label, ...(columns.split === undefined ? [] : [columns.split])]
    let row = 0
    for (const group of metadata.row_groups) {
      options.signal?.throwIfAborted()
      const end = row + Number(group.num_rows)
      const objects = await parquetReadObjects({
        file: buffer,
        metadata,
        columns: wanted,
        rowStart: row,
        rowEnd: end,
        utf8: false,
        geoparquet: false,
        compressors,
      })
      for (const object of objects) {
        const where = `${path}: row ${row}`
        const label = nameOf(object[columns.label], names, where)
        const ownSplit = columns.split === undefined ? undefined : text(object[columns.split])
        const image = await imageOf(object[columns.image], path, row, store, where)
        yield { where, ...image, label, split: ownSplit ?? split }
        row++
      }
    }
  } catch (error) {
    options.signal?.throwIfAborted()
    throw explain(path, error)
  } finally {
    await file.close()
  }
}

/** The value of an image: `{ bytes, path }`, or bytes. */
async function imageOf(
  value: unknown,
  file: string,
  row: number,
  store: ImageStore,
  where: string,
): Promise<Pick<ImageRecord, 'path' | 'read'>> {
  const { bytes, path } =
    is.object(value) && !(value instanceof Uint8Array) ? value : { bytes: value, path: undefined }
  const named = text(path)
  if (bytes instanceof Uint8Array && bytes.length > 0) {
    const name = named === undefined ? String(row) : `${row}-${printable(named.replace(/^.*[/\\]/, ''))}`
    return { path: `${file}/${name}`, read: await store.add(bytes) }
  }
  if (named !== undefined && (bytes === null || bytes === undefined))
    return { path: imagePath(named, file, where) }
  throw new VisionTorchError(
    'ERR_DATASET',
    `${where}: expected the bytes of an image, or { bytes, path }, got ${printable(String(value), 40)}`,
  )
}

const text = (value: unknown): string | undefined =>
  value instanceof Uint8Array ? Buffer.from(value).toString() : typeof value === 'string' ? value : undefined

function nameOf(value: unknown, names: readonly string[] | undefined, where: string): string {
  const label = labelText(text(value) ?? value, where)
  const isIndex = names !== undefined && typeof value !== 'string' && /^\d+$/.test(label)
  return isIndex ? (names[Number(label)] ?? label) : label
}

/** The columns, and the names of the classes if the metadata of Hugging Face has them. */
function featuresOf(
  { metadata, columnNames }: ParquetFile,
  options: Columns,
  path: string,
): { columns: ChosenColumns; names: readonly string[] | undefined } {
  const features = huggingFaceFeatures(metadata)
  const only = (type: string): string | undefined => {
    const found = Object.entries(features).filter(
      ([, feature]) => is.object(feature) && feature._type === type,
    )
    return found.length === 1 ? found[0]![0] : undefined
  }
  const [image, label] = [options.image ?? only('Image'), options.label ?? only('ClassLabel')]
  const wanted = {
    ...(image && { image }),
    ...(label && { label }),
    ...(options.split && { split: options.split }),
  }
  const columns = chooseColumns(columnNames, wanted, path)
  const feature = features[columns.label]
  const names =
    is.object(feature) && Array.isArray(feature.names) && feature.names.every(isName)
      ? feature.names
      : undefined
  return { columns, names }
}

const isName = (name: unknown): boolean => is.string(name) && classNameProblem(name) === undefined

function huggingFaceFeatures(metadata: FileMetaData): Record<string, unknown> {
  try {
    const value = metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value
    const features = value === undefined ? undefined : JSON.parse(value).info.features
    return is.object(features) ? features : {}
  } catch {
    return {}
  }
}

/** A file with its metadata and the names of its columns. */
interface ParquetFile {
  file: FileHandle
  buffer: AsyncBuffer
  metadata: FileMetaData
  columnNames: string[]
}

async function openParquet(path: string): Promise<ParquetFile> {
  const { parquetMetadataAsync, parquetSchema } = await import('./libraries.js')
  const { file, size } = await openRegular(path).catch(error => Promise.reject(unreadable(path, error)))
  try {
    const buffer = asyncBuffer(file, size)
    const metadata = await parquetMetadataAsync(buffer, { geoparquet: false })
    const columnNames = parquetSchema(metadata)
      .children.map(({ element }) => element.name)
      .filter(is.string)
    return { file, buffer, metadata, columnNames }
  } catch (error) {
    await file.close()
    throw explain(path, error)
  }
}

function asyncBuffer(file: FileHandle, size: number): AsyncBuffer {
  return {
    byteLength: size,
    async slice(start, end = size) {
      // Never read more than the file has, whatever its metadata says.
      if (!(start >= 0 && start <= end && end <= size))
        throw new Error('a part lies beyond the end of the file')
      const bytes = Buffer.alloc(end - start)
      for (let done = 0; done < bytes.length; ) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done)
        if (bytesRead === 0) throw new Error('the file became shorter during reading')
        done += bytesRead
      }
      return bytes.buffer
    },
  }
}

function explain(path: string, error: unknown): unknown {
  if (error instanceof VisionTorchError) return error
  const { code, message } = error as NodeJS.ErrnoException
  if (code?.startsWith('E') && !code.startsWith('ERR_')) return unreadable(path, error)
  return new VisionTorchError(
    'ERR_DATASET',
    `${path}: is not a readable Parquet file (${printable(message, 200)}). Write or download it again`,
    { cause: error },
  )
}

/** Node's decompressors; hyparquet decompresses Snappy itself. None returns more bytes than the file announces. */
const compressors: Compressors = {
  GZIP: (input, length) => zlib.gunzipSync(input, { maxOutputLength: Math.max(1, length) }),
  BROTLI: (input, length) => zlib.brotliDecompressSync(input, { maxOutputLength: Math.max(1, length) }),
  ZSTD(input, length) {
    const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync?: typeof zlib.gunzipSync }
    if (zstdDecompressSync !== undefined)
      return zstdDecompressSync(input, { maxOutputLength: Math.max(1, length) })
    throw new VisionTorchError(
      'ERR_DATASET',
      `the Parquet file is compressed with Zstandard, which needs Node 22.15 or later, but this is Node ${process.versions.node}. ` +
        "Write it with compression='snappy'",
    )
  },
}
