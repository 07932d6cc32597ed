import type { NativeModel } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'

/**
 * Returns the logits if all are finite, so that they have probabilities.
 * @throws ERR_NON_FINITE if one is NaN or infinite, naming the first tensor of the network that is not finite.
 */
export async function finiteLogits(network: NativeModel, logits: Float32Array): Promise<Float32Array> {
  if (logits.every(Number.isFinite)) return logits
  const tensor = await network.firstNonFinite()
  const cause =
    tensor !== null
      ? `${tensor} holds a number that is not finite (NaN or infinity). Use weights that were saved before training diverged`
      : network.dtype === 'bfloat16'
        ? "its weights are finite, so the computation overflows. Compute with dtype: 'float32'"
        : 'its weights are finite, so the computation overflows. Check that the preprocessing is the one of the weights'
  throw new VisionTorchError(
    'ERR_NON_FINITE',
    `the network's outputs are not finite, so there are no probabilities: ${cause}`,
    { options: ['dtype'] },
  )
}
