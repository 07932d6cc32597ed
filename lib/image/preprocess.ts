import { native } from '../native/native.js'
import { check } from '../util/is.js'
import { decode } from './decode.js'
import type { ImageInput } from './input.js'
import { checkPreprocessing, type Preprocessing, type PreprocessingName } from './preprocessing.js'
import { evalTransform } from './transform.js'

/**
 * Returns the image that the network sees, before normalisation: RGB bytes, row by row. Look at it when a prediction
 * surprises you.
 *
 * @param preprocessing A model's `preprocessing`, a part of one, or the name of another program's. Default: ImageNet's.
 * @throws ERR_IMAGE_DECODE if the image is damaged or of an unsupported format, ERR_FILE_READ if it cannot be read.
 */
export async function preprocess(
  input: ImageInput,
  preprocessing: Partial<Preprocessing> | PreprocessingName = {},
  options: { signal?: AbortSignal } = {},
): Promise<{ data: Uint8Array; width: number; height: number }> {
  const checked = checkPreprocessing('preprocessing', preprocessing)
  check.options('options', options, ['signal'])
  const pixels = await decode(input, { ...options, autoOrient: checked.autoOrient })
  return native().transformPixels(pixels, evalTransform(checked, pixels))
}
