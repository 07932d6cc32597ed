import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { VisionTorchError } from '../util/errors.js'
import { toPath } from '../util/file-name.js'
import { openRegular } from '../util/files.js'
import { is } from '../util/is.js'
import { printable } from '../util/text.js'
import { chooseColumns } from './columns.js'
import type { SampleDataset, SplitName } from './dataset.js'
import { imageExtensions } from './extensions.js'
import { ImageStore } from './image-store.js'
import { isJunkFile } from './junk.js'
import { MOST_LINE, unreadable } from './lines.js'
import {
  checkSourceOptions,
  datasetOfRecords,
  type ImageRecord,
  labelText,
  type SourceOptions,
} from './records.js'
import { type Shards, shardFiles } from './shards.js'

export interface WebDatasetOptions extends SourceOptions {
  /** The key of the label in a sample's `.json`. Default: `label`, `class`, `class_name`, `category` or `target`. */
  label?: string
}

/**
 * Opens a data set in the tar files of WebDataset. Successive files whose names are the same up to the first dot form a sample,
 * such as `0001.jpg` and `0001.cls`. Its label, the name of a class or its index, is the text of `.cls` or a key in `.json`.
 *
 * Images are read directly from the tar files, which must not change meanwhile. Those of `.tar.gz` files are kept in memory, up
 * to a quarter of the free memory, and beyond that in the disk cache until the process ends.
 *
 * ```ts
 * await fromWebDataset({ train: 'birds-train-{0000..0012}.tar', val: 'birds-val-0000.tar' }, { classes: 'classes.txt' })
 * ```
 *
 * @throws ERR_DATASET if a file cannot be read, is damaged or cut off, or has an image without a label.
 */
export async function fromWebDataset(
  shards: Shards,
  options: WebDatasetOptions = {},
): Promise<SampleDataset> {
  checkSourceOptions(options, ['label'])
  const files = shardFiles(shards)
  const [[first]] = [...files.values()] as [[string]]
  const source = [...files.values()].flat().length === 1 ? first : null
  const records = (async function* () {
    const store = new ImageStore()
    for (const [split, paths] of files)
      for (const path of paths) yield* recordsOf(path, split, store, options)
  })()
  return datasetOfRecords({ root: dirname(first), source, records }, options)
}

/** The parts of a sample found so far. */
interface Part {
  key: string
  image?: { name: string; read: () => Promise<Uint8Array> }
  label?: string
}

async function* recordsOf(
  path: string,
  split: SplitName,
  store: ImageStore,
  { label: key, signal }: WebDatasetOptions,
): AsyncGenerator<ImageRecord> {
  const fail = (message: string, cause?: unknown) =>
    new VisionTorchError('ERR_DATASET', `${path}: ${message}`, { cause })
  const finish = ({ key, image, label }: Part): ImageRecord | undefined => {
    if (image === undefined) return undefined // other files, or only a label
    const where = `${path}: ${printable(key)}`
    if (label !== undefined) return { where, path: `${path}/${image.name}`, read: image.read, label, split }
    const name = printable(basename(key))
    throw fail(
      `the image ${image.name} has no label: expected ${name}.cls or ${name}.json next to it. If the tar file has class folders, unpack it`,
    )
  }
  let part: Part = { key: '' }
  for await (const { name, size, offset, content } of entriesOf(path, signal)) {
    const [, start = '', extension = ''] = /^((?:.*\/)?[^/.]*)\.([^/]*)$/s.exec(name) ?? []
    if (extension === '' || isJunkFile(basename(name))) continue
    if (start !== part.key) {
      const record = finish(part)
      if (record !== undefined) yield record
      part = { key: start }
    }
    const where = `${path}: ${printable(name)}`
    const kind = extension.toLowerCase()
    if (imageExtensions.has(`.${kind}`)) {
      if (part.image !== undefined) throw fail(`the sample ${printable(start)} has two images. Leave one out`)
      const read = offset === undefined ? await store.add(await content()) : rangeOf(path, offset, size)
      part.image = { name: printable(name), read }
    } else if (kind === 'cls' || kind === 'json') {
      if (size > MOST_LINE) throw fail(`expected a label in ${printable(name)}, but it has ${size} bytes`)
      const text = Buffer.from(await content()).toString()
      if (kind === 'cls') part.label = labelText(text, where)
      else if (part.label === undefined) {
        const label = labelInJson(text, key, where)
        if (label !== undefined) part.label = label
      }
    }
  }
  const record = finish(part)
  if (record !== undefined) yield record
}

function labelInJson(text: string, key: string | undefined, where: string): string | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new VisionTorchError('ERR_DATASET', `${where}: expected JSON, got '${printable(text, 80)}'`)
  }
  if (!is.object(value)) return undefined
  const { label } = chooseColumns(
    ['image', ...Object.keys(value)],
    { ...(key && { label: key }), image: 'image' },
    where,
  )
  return labelText(value[label], where)
}

/** A regular file in a tar file. Its content can only be read before the next entry. */
interface Entry {
  name: string
  size: number
  /** The offset of its bytes in the tar file; undefined if that is compressed. */
  offset: number | undefined
  content: () => Promise<Uint8Array>
}

async function* entriesOf(path: string, signal: AbortSignal | undefined): AsyncGenerator<Entry> {
  const { extractTar } = await import('./libraries.js')
  const { file, size: total } = await openRegular(path).catch(error =>
    Promise.reject(unreadable(path, error)),
  )
  const bytes = file.createReadStream({ signal, highWaterMark: 1 << 20 })
  const isCompressed = /\.t?gz$/i.test(path)
  const plain: Readable = isCompressed ? bytes.pipe(createGunzip()) : bytes
  const tar = extractTar()
  const stop = (error: Error) => tar.destroy(error)
  bytes.once('error', stop)
  plain.once('error', stop)
  plain.pipe(tar)
  const explain = (error: unknown): unknown => {
    if (error instanceof VisionTorchError) return error
    const { code, message } = error as NodeJS.ErrnoException
    if (code?.startsWith('E')) return unreadable(path, error)
    return new VisionTorchError(
      'ERR_DATASET',
      `${path}: is not a complete tar file (${printable(message, 200)}). Copy or download it again`,
      { cause: error },
    )
  }
  try {
    for await (const entry of tar) {
      const { name, size = 0, type } = entry.header
      const offset = (entry.header as { byteOffset?: number }).byteOffset!
      const isFile = type === 'file' || type === 'contiguous-file'
      if (!isCompressed && offset + size > total) throw new Error('Unexpected end of data')
      if (isFile && size > MOST_BYTES) throw new Error(`${printable(name)} has ${size} bytes`)
      const content = () =>
        collect(entry as AsyncIterable<Uint8Array>).catch(error => Promise.reject(explain(error)))
      if (isFile) yield { name, size, offset: isCompressed ? undefined : offset, content }
      entry.resume()
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw explain(error)
  } finally {
    bytes.destroy()
    plain.destroy()
    tar.destroy()
  }
}

/** The largest size of an entry; no image is larger. */
const MOST_BYTES = 1 << 29

async function collect(entry: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  for await (const chunk of entry) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** Reads a part of a file. */
function rangeOf(path: string, offset: number, length: number): () => Promise<Uint8Array> {
  return async () => {
    const failed = (why: string, cause?: unknown) =>
      new VisionTorchError('ERR_FILE_READ', `${path}: cannot be read: ${why}`, { cause })
    const file = await open(toPath(path)).catch(error => Promise.reject(failed(error.message, error)))
    try {
      const bytes = Buffer.allocUnsafe(length)
      for (let done = 0; done < length; ) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done)
        if (bytesRead === 0) throw failed('it has become shorter since it was opened')
        done += bytesRead
      }
      return bytes
    } finally {
      await file.close()
    }
  }
}
