import { availableParallelism } from 'node:os'
import type { Dataset, Sample } from '../data/dataset.js'
import { decodeSample } from '../data/decode-sample.js'
import { inOrder, Loader } from '../data/loader.js'
import { toDataset } from '../data/open.js'
import { decode } from '../image/decode.js'
import type { ImageInput } from '../image/input.js'
import type { Preprocessing } from '../image/preprocessing.js'
import { evalTransform } from '../image/transform.js'
import { type ImageBatch, type NativeCalibrator, type NativeModel, native } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { check, invalid, is, refuse } from '../util/is.js'
import { printable } from '../util/text.js'

export const QUANTIZE_METHODS = ['minmax', 'percentile', 'mse'] as const
/** The method for choosing the range of activations, see {@link QuantizeOptions.method}. */
export type QuantizeMethod = (typeof QUANTIZE_METHODS)[number]

/** Options of {@link Model.quantize}. */
export interface QuantizeOptions {
  /**
   * How to choose the range that the 256 values of a byte cover, for each layer's input. `mse` minimises the mean squared
   * error, `percentile` covers all values except 0.005% at either end, and `minmax` covers all values. Default `mse`.
   */
  method?: QuantizeMethod
  /** The largest number of images to use: 1 to 65,536. Default 256. */
  samples?: number
  /**
   * The layers that stay in floating point: `auto` for the last one and, if the outputs would change too much, for those
   * that change them most, but at most five twelfths of the others; `none`; or names of layers or blocks in the state dict, such as
   * `['conv1', 'layer4', 'fc']`. Default `auto`.
   */
  keep?: 'auto' | 'none' | readonly string[]
  /**
   * An ONNX file of this model in 8 bits, whose scales to use instead of calibrating. `model.export` wrote it from a quantised model,
   * or ONNX Runtime's `quantize_static` from an exported model. The layers that are quantised there become quantised; the images
   * only correct the biases. `method`, `samples` and `keep` do not go with it.
   */
  scales?: string
  /** The split of the data set to use. Default `train`, or the first split if there is no `train`. */
  split?: string
  signal?: AbortSignal | undefined
  /** Called after each batch with the number of images that have passed through the network. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined
}

/** The layers of a quantised model that compute in integers, and those that do not. */
export interface QuantizationSummary {
  /** Names of the layers in integers, in the order of the state dict. */
  int8: readonly string[]
  /** Names of the convolutions and linear layers that stayed in floating point. */
  float: readonly string[]
}

/** The parts of a model that quantisation needs. */
export interface QuantizedFrom {
  network: NativeModel
  classes: readonly string[]
  preprocessing: Readonly<Preprocessing>
  createBatch(capacity: number): ImageBatch
}

const OPTIONS: readonly (keyof QuantizeOptions)[] = [
  'method',
  'samples',
  'keep',
  'scales',
  'split',
  'signal',
  'onProgress',
]

const BATCH = 16
/** How many of the images also serve to measure errors. */
const MEASURED = 64
/** How many of the images pass through the network once for each layer, if layers must be chosen. */
const COMPARED = 16
/** The largest {@link noiseOf} the logits that `keep: 'auto'` accepts. */
const MOST_NOISE = 0.02
/** The share of the layers that each further attempt keeps in floating point, and the number of these attempts. */
const STEP = 1 / 12
const MOST_STEPS = 5

export function checkQuantizeOptions(options: QuantizeOptions) {
  check.options('options', options, OPTIONS)
  const { keep = 'auto' } = options
  const isNames = Array.isArray(keep) && keep.every(is.string)
  if (keep !== 'auto' && keep !== 'none' && !isNames)
    throw invalid('keep', "'auto', 'none', or an array of names of layers", keep)
  const scales = options.scales === undefined ? undefined : check.string('scales', options.scales)
  const other = (['method', 'samples', 'keep'] as const).find(name => options[name] !== undefined)
  if (scales !== undefined && other !== undefined)
    throw refuse(
      `${other}: expected none with scales, which say what is quantised and how. Leave one of them out`,
      other,
      'scales',
    )
  return {
    ...options,
    method: check.oneOf('method', options.method ?? 'mse', QUANTIZE_METHODS),
    samples: check.integer('samples', options.samples ?? 256, 1, 65_536),
    split: options.split === undefined ? undefined : check.string('split', options.split),
    keep,
    scales,
  }
}
type CheckedOptions = ReturnType<typeof checkQuantizeOptions>

/** Creates a quantised copy of the model's network. */
export async function quantizeNetwork(
  model: QuantizedFrom,
  source: string | Dataset | readonly ImageInput[],
  options: CheckedOptions,
): Promise<NativeModel> {
  const { samples, decode } = await openSource(model, source, options)
  const { signal, onProgress } = options
  const images = evenly(samples, options.samples)
  const some = evenly(images, MEASURED)
  const run = async (from: readonly Sample[], use: (batch: ImageBatch, count: number) => Promise<void>) => {
    const loader = new Loader({
      samples: from,
      decode,
      workers: Math.min(8, availableParallelism()),
      createBatch: () => model.createBatch(Math.min(BATCH, from.length)),
    })
    const transform = (_: number, size: { width: number; height: number }) =>
      evalTransform(model.preprocessing, size)
    for await (const { images: batch, labels } of loader.batches(inOrder(from.length, BATCH), transform)) {
      signal?.throwIfAborted()
      await use(batch, labels.length)
      done += labels.length
      onProgress?.({ done: Math.min(done, total), total })
    }
    signal?.throwIfAborted()
  }
  let done = 0
  const checks = options.keep === 'auto'
  const { scales } = options
  let total = some.length * (checks && !scales ? 3 : 1) + (scales ? 0 : images.length)

  signal?.throwIfAborted()
  const calibrator = await native().createCalibrator(model.network, options.method)
  if (scales !== undefined) {
    await useScales(calibrator, model.network, scales)
    await run(some, (batch, count) => calibrator.measure(batch, count))
    return calibrator.quantize([])
  }
  await run(images, (batch, count) => calibrator.observe(batch, count))
  await run(some, (batch, count) => calibrator.measure(batch, count))
  if (!checks) return calibrator.quantize(await namedLayers(calibrator, options.keep))

  const logits = async (network: NativeModel, from: readonly Sample[]) => {
    const rows: Float32Array[] = []
    await run(from, async (batch, count) => {
      rows.push(await network.forward(batch, count, 'logits'))
    })
    return rows
  }
  const noiseFor = async (from: readonly Sample[]): Promise<Noise> => {
    const exact = await logits(model.network, from)
    return async floatLayers => {
      const network = await calibrator.quantize(floatLayers)
      try {
        return noiseOf(await logits(network, from), exact, network.numClasses)
      } finally {
        network.dispose()
      }
    }
  }
  const layers = await calibrator.layers()
  const last = layers.at(-1)!
  const noise = await noiseFor(some)
  if ((await noise([last])) <= MOST_NOISE) return calibrator.quantize([last])

  const few = evenly(images, COMPARED)
  const others = layers.slice(0, -1)
  total += (others.length + 1) * few.length + (MOST_STEPS - 1) * some.length
  const worst = await byNoise(others, layers, await noiseFor(few))
  const step = Math.max(1, Math.round(others.length * STEP))
  for (let steps = 1; ; steps++) {
    const kept = [last, ...worst.slice(0, steps * step)]
    if (steps === MOST_STEPS || (await noise(kept)) <= MOST_NOISE) {
      onProgress?.({ done: total, total }) // further attempts were not needed
      return calibrator.quantize(kept)
    }
  }
}

/** How much the logits change if these layers are in floating point and all others in integers: see {@link noiseOf}. */
type Noise = (floatLayers: readonly string[]) => Promise<number>

/** These layers, first those that change the logits most if they alone are in integers. */
async function byNoise(names: readonly string[], layers: readonly string[], noise: Noise): Promise<string[]> {
  const alone = new Map<string, number>()
  for (const name of names) alone.set(name, await noise(layers.filter(layer => layer !== name)))
  return [...names].sort((a, b) => alone.get(b)! - alone.get(a)!)
}

/** Gives the calibrator the scales in this ONNX file. */
async function useScales(calibrator: NativeCalibrator, network: NativeModel, path: string): Promise<void> {
  const { readScales } = await import('../export/scales.js') // imported here, because it loads the protobuf library
  const scales = await readScales(path)
  const known = new Set(network.entries().map(({ name }) => name))
  const unknown = scales.find(({ name }) => !known.has(`${name}.weight`))
  if (unknown !== undefined)
    throw new VisionTorchError(
      'ERR_CHECKPOINT_MISMATCH',
      `${path}: this network has no layer ${printable(unknown.name)}. Use the model from which that file was made`,
    )
  await calibrator.use(scales).catch(error => {
    if (!(error instanceof VisionTorchError)) throw error
    throw new VisionTorchError(error.code, `${path}: ${error.message}`, { cause: error })
  })
}

/**
 * @internal The mean over the rows of the squared differences, as a share of the row's variance. One row with large values, which may
 * hide the errors of all others in a common sum, counts like any other.
 */
export function noiseOf(
  rows: readonly Float32Array[],
  exact: readonly Float32Array[],
  width: number,
): number {
  let [sum, count] = [0, 0]
  for (const [index, all] of exact.entries()) {
    for (let at = 0; at < all.length; at += width) {
      const expected = all.subarray(at, at + width)
      const mean = expected.reduce((total, value) => total + value, 0) / width
      let [error, variance] = [0, 0]
      for (const [i, value] of expected.entries()) {
        error += (rows[index]![at + i]! - value) ** 2
        variance += (value - mean) ** 2
      }
      sum += error / Math.max(variance, Number.MIN_VALUE)
      count++
    }
  }
  return sum / count
}

/** The layers for these names of layers or blocks. */
async function namedLayers(
  calibrator: NativeCalibrator,
  keep: CheckedOptions['keep'],
): Promise<readonly string[]> {
  const layers = await calibrator.layers()
  const names = typeof keep === 'string' ? [] : keep
  for (const name of names) {
    if (!layers.some(layer => isPart(layer, name)))
      throw refuse(
        `keep: expected names of layers or blocks, got '${name}'. The layers are ${layers.join(', ')}`,
        'keep',
      )
  }
  const kept = layers.filter(layer => names.some(name => isPart(layer, name)))
  if (kept.length === layers.length)
    throw refuse(
      'keep: expected the names of some layers, got those of all, so nothing would be quantised. Name fewer',
      'keep',
    )
  return kept
}

const isPart = (layer: string, name: string) => layer === name || layer.startsWith(`${name}.`)

/** Picks this many of the images in their order, spread evenly, so that all classes are among them. */
const evenly = <T>(items: readonly T[], count: number): readonly T[] =>
  items.length <= count
    ? items
    : Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!)

async function openSource(
  { classes, preprocessing }: QuantizedFrom,
  source: string | Dataset | readonly ImageInput[],
  { split, signal }: CheckedOptions,
) {
  const { autoOrient } = preprocessing
  if (isImages(source)) {
    if (source.length === 0) throw invalid('source', 'at least one image', source)
    const samples = source.map((_, index): Sample => ({ path: String(index), label: 0 }))
    const read = ({ path }: Sample) => decode(source[Number(path)]!, { autoOrient, signal })
    return { samples, decode: read }
  }
  if (!is.string(source) && !is.object(source))
    throw invalid('source', 'a folder of images, a data set, or an array of images', source)
  const dataset = await toDataset(source, { modelClasses: classes, signal })
  const name = split ?? (dataset.splits.has('train') ? 'train' : [...dataset.splits.keys()][0]!)
  const samples = dataset.split(name)
  if (samples.length === 0)
    throw new VisionTorchError('ERR_DATASET', `${dataset.root}: no images in '${name}'. Add some`)
  return { samples, decode: (sample: Sample) => decodeSample(sample, { autoOrient, signal }) }
}

const isImages = (source: unknown): source is readonly ImageInput[] => Array.isArray(source)
