import { VisionTorchError } from '../util/errors.js'
import type { Sample } from './dataset.js'

/**
 * Returns the samples with labels that are indices into `to` instead of `from`. Classes are matched by name, never by
 * position, except that a model whose classes are only numbered takes the order of the data.
 * @throws ERR_DATASET if an image has a class that is not in `to`.
 */
export function relabel(
  samples: readonly Sample[],
  from: readonly string[],
  to: readonly string[],
): readonly Sample[] {
  if (from.length === to.length && (from.every((name, i) => name === to[i]) || isUnnamed(to))) return samples
  const index = new Map(to.map((name, i) => [name, i]))
  return samples.map(sample => {
    const { path, label } = sample
    const known = index.get(from[label]!)
    if (known !== undefined) return { ...sample, label: known }
    throw new VisionTorchError(
      'ERR_DATASET',
      `${path}: its class '${from[label]}' is not one of the model's ${to.length} classes (${list(to)}). ` +
        'Use a model that was trained on these classes, or call replaceClassifier with them and train',
    )
  })
}

/** Whether classes are only numbered: '0', '1', ... */
export const isUnnamed = (classes: readonly string[]): boolean =>
  classes.every((name, i) => name === String(i))

/** @internal The first few names. */
export function list(names: readonly string[]): string {
  return names.length <= 6 ? names.join(', ') : `${names.slice(0, 5).join(', ')}, ...`
}
