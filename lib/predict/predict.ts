import { availableParallelism } from 'node:os'
import pLimit from 'p-limit'
import { decode, MAX_PIXELS, release } from '../image/decode.js'
import type { ImageInput } from '../image/input.js'
import type { Preprocessing } from '../image/preprocessing.js'
import { evalTransform } from '../image/transform.js'
import type { NativeModel } from '../native/native.js'
import { type ErrorCode, VisionTorchError } from '../util/errors.js'
import { check, invalid } from '../util/is.js'
import { abortable } from './abort.js'
import type { Batcher, DecodedImage } from './batcher.js'
import { finiteLogits } from './non-finite.js'

/** A class and its probability. */
export interface Prediction {
  /** The class's name. */
  label: string
  /** Its index in the model's `classes`. */
  index: number
  /** Its probability (softmax), 0 to 1. */
  score: number
}

export interface FeatureOptions {
  /** The largest batch: 1 to 4096 images, default 32. Calls with the same number share their batches. */
  batchSize?: number
  signal?: AbortSignal | undefined
}

export interface PredictOptions extends FeatureOptions {
  /** How many classes to return, the most probable first: default 5. All classes if there are fewer. */
  topK?: number
  /**
   * The largest number of pixels in an image, for a service that takes images from strangers: 1 to 178,956,970, the
   * default.
   */
  maxPixels?: number
  /** Also predicts with a classifier that was never trained, whose probabilities are random. Default false. */
  allowUntrained?: boolean
}

/** What {@link predictEach} yields for an image: its predictions, or why it could not be read. */
export type PredictionResult<Input = ImageInput> = { index: number; input: Input } & (
  | { predictions: Prediction[]; error?: never }
  | { error: VisionTorchError; predictions?: never }
)

/** @internal The parts of a model that predictions need. */
export interface Predictor {
  readonly network: NativeModel
  readonly classes: readonly string[]
  readonly preprocessing: Readonly<Preprocessing>
  checkGivesProbabilities(allowUntrained: boolean): void
  batcher(output: 'logits' | 'features', batchSize: number): Batcher
}

/** Some images of an array could not be read; the predictions of the others are here. */
export class PredictionError extends VisionTorchError {
  /** The error of each image that could not be read, by its index. */
  readonly errors: ReadonlyMap<number, VisionTorchError>
  /** The predictions of each image in input order; an empty array for an image with an error. */
  readonly predictions: readonly Prediction[][]

  constructor(errors: ReadonlyMap<number, VisionTorchError>, predictions: readonly Prediction[][]) {
    if (!(errors instanceof Map) || errors.size === 0 || !Array.isArray(predictions))
      throw invalid('errors', 'a Map of at least one error, and an array of predictions', errors)
    const [first] = errors.values() as Iterable<VisionTorchError>
    const others = errors.size - 1
    super(
      first!.code,
      others === 0
        ? first!.message
        : `${first!.message} (and ${others} more of ${predictions.length} images: see errors)`,
      { cause: first },
    )
    this.errors = errors
    this.predictions = predictions
  }
}

/** @internal See `predict` in model/predict.ts. */
export async function predict(
  model: Predictor,
  input: ImageInput | readonly ImageInput[],
  options: PredictOptions = {},
): Promise<Prediction[] | Prediction[][]> {
  const { topK, allowUntrained, ...rest } = checkPredictOptions(options)
  model.checkGivesProbabilities(allowUntrained)
  const job = new Job(model, 'logits', rest)
  const { classes, network } = model
  if (!isArray(input)) {
    return mostProbable(await finiteLogits(network, await job.one(input)), classes, topK)
  }
  const predictions: Prediction[][] = []
  const errors = new Map<number, VisionTorchError>()
  for await (const { index, values, error } of job.each(input)) {
    if (error !== undefined) errors.set(index, error)
    predictions.push(
      error === undefined ? mostProbable(await finiteLogits(network, values), classes, topK) : [],
    )
  }
  if (errors.size > 0) throw new PredictionError(errors, predictions)
  return predictions
}

/** @internal See `predictEach` in model/predict.ts. */
export async function* predictEach<Input extends ImageInput>(
  model: Predictor,
  inputs: Iterable<Input> | AsyncIterable<Input>,
  options: PredictOptions = {},
): AsyncGenerator<PredictionResult<Input>, void, undefined> {
  const { topK, allowUntrained, ...rest } = checkPredictOptions(options)
  model.checkGivesProbabilities(allowUntrained)
  if (!isIterable(inputs))
    throw invalid('inputs', 'an iterable of images, such as an array or a stream', inputs)
  const { classes, network } = model
  for await (const { index, input, values, error } of new Job(model, 'logits', rest).each(inputs)) {
    if (error !== undefined) yield { index, input, error }
    else {
      const logits = await finiteLogits(network, values)
      yield { index, input, predictions: mostProbable(logits, classes, topK) }
    }
  }
}

/** A string is iterable, too, but its letters are not images. */
const isIterable = (value: unknown): boolean =>
  typeof value === 'object' && value !== null && (Symbol.iterator in value || Symbol.asyncIterator in value)

/** @internal See `Model.features`. */
export async function features(
  model: Predictor,
  input: ImageInput | readonly ImageInput[],
  options: FeatureOptions = {},
): Promise<Float32Array | Float32Array[]> {
  check.options('options', options, ['batchSize', 'signal'])
  const job = new Job(model, 'features', checkPredictOptions(options))
  if (!isArray(input)) return (await job.one(input)).slice()
  const rows: Float32Array[] = []
  for await (const { values, error } of job.each(input)) {
    if (error !== undefined) throw error
    rows.push(values.slice()) // a copy: a row would keep its whole batch alive
  }
  return rows
}

/** @internal The logits of each image, in the order of the inputs; finite, so that they have probabilities. */
export async function logits(
  model: Predictor,
  inputs: readonly Uint8Array[],
  options: Pick<PredictOptions, 'batchSize' | 'maxPixels' | 'signal'>,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = []
  for await (const { values, error } of new Job(model, 'logits', checkPredictOptions(options)).each(inputs)) {
    if (error !== undefined) throw error
    rows.push(await finiteLogits(model.network, values))
  }
  return rows
}

function checkPredictOptions(options: PredictOptions) {
  check.options('options', options, ['topK', 'batchSize', 'maxPixels', 'allowUntrained', 'signal'])
  return {
    allowUntrained: check.boolean('allowUntrained', options.allowUntrained ?? false),
    topK: check.integer('topK', options.topK ?? 5, 1),
    batchSize: check.integer('batchSize', options.batchSize ?? 32, 1, 4096),
    maxPixels: check.integer('maxPixels', options.maxPixels ?? MAX_PIXELS, 1, MAX_PIXELS),
    signal: options.signal,
  }
}

// sharp decodes one image per thread; more images at once would only hold more pixels in memory.
const decoding = pLimit(availableParallelism() + 1)

/** The outputs of one input, or why it could not be read. */
type Row<Input> = { index: number; input: Input } & (
  | { values: Float32Array; error?: never }
  | { error: VisionTorchError; values?: never }
)

/** One call's work, with the model's preprocessing at the time of the call. */
class Job {
  readonly #batcher: Batcher
  readonly #decode: (input: ImageInput) => Promise<DecodedImage>

  constructor(
    model: Predictor,
    output: 'logits' | 'features',
    private readonly options: { batchSize: number; maxPixels: number; signal: AbortSignal | undefined },
  ) {
    const { preprocessing } = model
    const { batchSize, maxPixels, signal } = options
    this.#batcher = model.batcher(output, batchSize)
    this.#decode = input =>
      decoding(async () => {
        const pixels = await decode(input, { maxPixels, signal, autoOrient: preprocessing.autoOrient })
        return {
          pixels,
          transform: evalTransform(preprocessing, pixels),
          release: () => release(pixels, input),
        }
      })
  }

  one(input: ImageInput): Promise<Float32Array> {
    const row = this.#batcher.run(() => this.#decode(input), false)
    return abortable(row, this.options.signal)
  }

  /**
   * Rows in the order of the inputs. At most two batches of images are processed at a time, so that memory is
   * bounded.
   */
  async *each<Input extends ImageInput>(
    inputs: Iterable<Input> | AsyncIterable<Input>,
  ): AsyncGenerator<Row<Input>, void, undefined> {
    const { batchSize, signal } = this.options
    const iterator =
      Symbol.asyncIterator in inputs ? inputs[Symbol.asyncIterator]() : inputs[Symbol.iterator]()
    const working: Promise<Row<Input> | { failure: unknown }>[] = []
    let next: Promise<{ result: IteratorResult<Input> }> | undefined
    let index = 0
    let ended = false
    try {
      while (true) {
        if (!ended && working.length < 2 * batchSize)
          next ??= Promise.resolve(iterator.next()).then(result => ({ result }))
        if (next === undefined && working.length === 0) return
        // Take whichever comes first: a slow source must not hold back results, and slow results must not
        // hold back the source.
        const first = next === undefined ? working[0]! : Promise.race([next, ...working.slice(0, 1)])
        const event = await abortable(first, signal)
        if ('result' in event) {
          next = undefined
          if (event.result.done) ended = true
          else working.push(this.#row(index++, event.result.value))
        } else {
          working.shift()
          if ('failure' in event) throw event.failure
          yield event
        }
      }
    } finally {
      if (!ended) Promise.resolve(iterator.return?.()).catch(() => {}) // not awaited: it may wait for its own source
    }
  }

  /** Never rejects, because nobody may be waiting for it yet. */
  async #row<Input extends ImageInput>(
    index: number,
    input: Input,
  ): Promise<Row<Input> | { failure: unknown }> {
    try {
      return { index, input, values: await this.#batcher.run(() => this.#decode(input), true) }
    } catch (error) {
      return error instanceof VisionTorchError && inputErrors.has(error.code)
        ? { index, input, error }
        : { failure: error }
    }
  }
}

const inputErrors: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_IMAGE_DECODE',
  'ERR_FILE_NOT_FOUND',
  'ERR_FILE_READ',
  'ERR_INVALID_ARGUMENT',
])

const isArray = (value: ImageInput | readonly ImageInput[]): value is readonly ImageInput[] =>
  Array.isArray(value)

/** The `count` largest logits with their softmax; of equal ones, the first comes first. */
export function mostProbable(logits: Float32Array, classes: readonly string[], count: number): Prediction[] {
  const max = logits.reduce((a, b) => Math.max(a, b), -Infinity)
  const sum = logits.reduce((total, value) => total + Math.exp(value - max), 0)
  return largest(logits, count).map(index => ({
    label: classes[index]!,
    index,
    score: Math.exp(logits[index]! - max) / sum,
  }))
}

/** The indices of the `count` largest values, the largest first. */
function largest(values: Float32Array, count: number): number[] {
  const isFew = count <= 32 // then insertion is several times as fast as sorting a thousand values
  if (!isFew)
    return Array.from(values.keys())
      .sort((a, b) => values[b]! - values[a]! || a - b)
      .slice(0, count)
  const top: number[] = []
  for (let index = 0; index < values.length; index++) {
    const value = values[index]!
    if (top.length === count) {
      if (value <= values[top[count - 1]!]!) continue
      top.pop()
    }
    let at = top.length
    while (at > 0 && values[top[at - 1]!]! < value) at--
    top.splice(at, 0, index)
  }
  return top
}
