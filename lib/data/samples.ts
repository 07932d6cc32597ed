import { resolve } from 'node:path'
import { decode } from '../image/decode.js'
import { type ImageInput, openInput } from '../image/input.js'
import type { Pixels } from '../native/native.js'
import { invalid, is } from '../util/is.js'
import type { SampleDataset } from './dataset.js'
import { ImageStore } from './image-store.js'
import {
  checkSourceOptions,
  datasetOfRecords,
  type ImageRecord,
  labelText,
  type SourceOptions,
} from './records.js'

/** An image in memory, in a stream or in a file, with its class. */
export interface LabelledSample {
  image: ImageInput
  /** The name of its class, or its index in `classes`. */
  label: string | number
  /** `'train'` (the default), `'val'` or `'test'`. */
  split?: string
}

/** A name for the images in messages. */
const ROOT = 'the samples'

/**
 * Creates a data set from objects of a program: rows of a database, responses of a server, buffers, streams. Each image is read
 * once, in order, before this resolves. Image files are read only when they are needed; all other images are kept in memory, up
 * to a quarter of the free memory, and beyond that in the disk cache until the process ends.
 *
 * ```ts
 * const data = await fromSamples(database.iterate('SELECT jpeg AS image, species AS label FROM birds'))
 * await train(model, { data })
 * ```
 *
 * @throws ERR_INVALID_ARGUMENT for a sample that is not an image with a label, ERR_DATASET, ERR_FILE_WRITE if the disk is full,
 *   and whatever the iterable throws.
 */
export async function fromSamples(
  samples: Iterable<LabelledSample> | AsyncIterable<LabelledSample>,
  options: SourceOptions = {},
): Promise<SampleDataset> {
  checkSourceOptions(options, [])
  const isIterable =
    typeof samples === 'object' &&
    samples !== null &&
    (Symbol.iterator in samples || Symbol.asyncIterator in samples)
  if (!isIterable) throw invalid('samples', 'an iterable of { image, label }', samples)
  return datasetOfRecords({ root: ROOT, source: null, records: recordsOf(samples, options.signal) }, options)
}

async function* recordsOf(
  samples: Iterable<LabelledSample> | AsyncIterable<LabelledSample>,
  signal: AbortSignal | undefined,
): AsyncGenerator<ImageRecord> {
  const store = new ImageStore()
  let index = 0
  for await (const sample of samples) {
    signal?.throwIfAborted()
    const where = `samples[${index}]`
    const name = `${ROOT}/${index++}`
    if (!is.object(sample)) throw invalid(where, 'an object { image, label }', sample)
    const { image, label, split } = sample as unknown as LabelledSample
    const record = {
      where,
      label: labelText(label, where),
      split: split === undefined ? split : String(split),
    }
    const source = await openInput(image, signal)
    if (source.kind === 'path') yield { ...record, path: resolve(source.path) }
    else {
      const bytes = source.kind === 'bytes' ? source.bytes : toPnm(await decode(image, { signal }))
      yield { ...record, path: name, read: await store.add(bytes) }
    }
  }
  if (index === 0) throw invalid('samples', 'at least one { image, label }', samples)
}

/** Encodes pixels without loss as the bytes of an image file. Alpha is dropped, as decoding does. */
function toPnm({ data, width, height, channels }: Pixels): Uint8Array {
  const kept = channels === 1 ? 1 : 3
  const header = Buffer.from(`P${kept === 1 ? 5 : 6} ${width} ${height} 255\n`)
  const pixels = channels === kept ? data : new Uint8Array(width * height * kept)
  if (channels !== kept) {
    for (let i = 0; i < width * height; i++)
      for (let c = 0; c < kept; c++) pixels[i * kept + c] = data[i * channels + c]!
  }
  return Buffer.concat([header, pixels])
}
