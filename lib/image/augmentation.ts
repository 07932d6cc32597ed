import { check, invalid, is } from '../is.js'

/** Augmentations that have a name. */
export const AUGMENTATIONS = ['none', 'flip', 'standard'] as const
export type AugmentationName = (typeof AUGMENTATIONS)[number]

/** What is done to each training image, drawn anew every epoch. */
export interface Augmentation {
  /**
   * The part that is cropped at random and resized (torchvision's RandomResizedCrop), as a share of the image's area;
   * null: the crop of evaluation. Default [0.08, 1].
   */
  scale: readonly [number, number] | null
  /** Width over height of that part. Default [3/4, 4/3]. */
  ratio: readonly [number, number]
  /** Probability of a horizontal flip. Default 0.5. */
  horizontalFlip: number
  /** Probability of a vertical flip. Default 0. */
  verticalFlip: number
}

/** A name, or the fields that differ from `'standard'`. */
export type AugmentationOption = AugmentationName | Partial<Augmentation>

const STANDARD: Augmentation = {
  scale: [0.08, 1],
  ratio: [3 / 4, 4 / 3],
  horizontalFlip: 0.5,
  verticalFlip: 0,
}

const NAMED: Record<AugmentationName, Augmentation> = {
  none: { ...STANDARD, scale: null, horizontalFlip: 0 },
  flip: { ...STANDARD, scale: null },
  standard: STANDARD,
}

/** Resolves the `augmentation` option. @throws ERR_INVALID_ARGUMENT with the name of the field that is wrong. */
export function checkAugmentation(name: string, value: unknown): Augmentation {
  if (typeof value === 'string') return NAMED[check.oneOf(name, value, AUGMENTATIONS)]
  if (!is.object(value)) throw invalid(name, `one of ${AUGMENTATIONS.join(', ')}, or an object`, value)
  check.options(name, value, Object.keys(STANDARD))
  const given = { ...STANDARD, ...value }
  const probability = (field: keyof Augmentation) => check.number(`${name}.${field}`, given[field], 0, 1)
  return {
    scale: given.scale === null ? null : range(`${name}.scale`, given.scale, 1e-3, 1),
    ratio: range(`${name}.ratio`, given.ratio, 1e-2, 1e2),
    horizontalFlip: probability('horizontalFlip'),
    verticalFlip: probability('verticalFlip'),
  }
}

function range(name: string, value: unknown, min: number, max: number): readonly [number, number] {
  const [low, high] = Array.isArray(value) ? value : []
  const right = Array.isArray(value) && value.length === 2 && is.number(low) && is.number(high)
  if (!right || low < min || high > max || low > high) {
    throw invalid(name, `two numbers from ${min} to ${max}, the smaller first`, value)
  }
  return [low, high]
}
