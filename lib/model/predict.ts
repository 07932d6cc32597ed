import type { ImageInput } from '../image/input.js'
import {
  type Prediction,
  type PredictionResult,
  type PredictOptions,
  predictEach as resultsOf,
} from '../predict/predict.js'
import { checkModel, type Model } from './model.js'

/**
 * The most probable classes of an image.
 *
 * Images are decoded and computed off the JavaScript thread. Calls that arrive while the network computes are merged
 * into one batch; a call that finds it idle is computed at once.
 *
 * @param input A path, `file:` URL, `Buffer`, `Uint8Array`, `ArrayBuffer`, `Blob`, readable stream, sharp instance, or
 * `{ data, width, height, channels }`.
 * @returns `topK` predictions, the most probable first.
 * @throws VisionTorchError `ERR_IMAGE_DECODE`, `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`, `ERR_INVALID_ARGUMENT`, `ERR_DISPOSED`;
 * `ERR_UNTRAINED` if the model's classifier is new, `ERR_NON_FINITE` if its outputs are NaN or infinite.
 */
export function predict(model: Model, input: ImageInput, options?: PredictOptions): Promise<Prediction[]>
/**
 * The most probable classes of each image, in the order of the inputs. All images are tried, even if some cannot be
 * read. If there are too many images to keep their results in memory, use {@link predictEach}.
 *
 * @throws PredictionError if images could not be read: it holds their errors and the predictions of the other
 * images.
 */
export function predict(
  model: Model,
  inputs: readonly ImageInput[],
  options?: PredictOptions,
): Promise<Prediction[][]>
export async function predict(
  model: Model,
  input: ImageInput | readonly ImageInput[],
  options?: PredictOptions,
): Promise<Prediction[] | Prediction[][]> {
  return checkModel(model).predict(input as ImageInput, options)
}

/**
 * Predicts any number of images in bounded memory: the inputs may be a generator or a stream of paths. Results come in
 * the order of the inputs; an image that cannot be read has an `error` in its place. Other errors are thrown, as by
 * {@link predict}.
 *
 * ```ts
 * for await (const { input, predictions, error } of predictEach(model, files)) ...
 * ```
 */
export async function* predictEach<Input extends ImageInput>(
  model: Model,
  inputs: Iterable<Input> | AsyncIterable<Input>,
  options?: PredictOptions,
): AsyncGenerator<PredictionResult<Input>, void, undefined> {
  yield* resultsOf(checkModel(model), inputs, options)
}
