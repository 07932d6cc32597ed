import { check, invalid, is } from '../util/is.js'
import { POLICIES, type Policy } from './policy.js'

type Range = readonly [min: number, max: number]

/**
 * torchvision's transforms of each training image, in this order. Their parameters are drawn for each image and
 * epoch.
 */
export interface Augmentation {
  /**
   * RandomResizedCrop: the area of the part that is cropped and resized, as a share of the image's area; null uses the crop
   * of evaluation. Default [0.08, 1].
   */
  scale: Range | null
  /** RandomResizedCrop: the aspect ratio of that part, width over height. Default [3/4, 4/3]. */
  ratio: Range
  /** Probability of a horizontal flip. Default 0.5. */
  horizontalFlip: number
  /** Probability of a vertical flip. Default 0. */
  verticalFlip: number
  /** Rotates by up to this many degrees in either direction. Default 0. */
  rotation: number
  /**
   * ColorJitter: factors around 1 (0.4 means 0.6 to 1.4), and a shift of the hue by up to a share of the circle, at
   * most 0.5. Default null.
   */
  colorJitter: ColorJitter | null
  /** A policy of random operations from a paper, as torchvision implements it, with its defaults. Default null. */
  policy: Policy | null
  /** RandomErasing: the probability that a part is painted over with the mean colour. Default 0. */
  randomErasing: number
  /**
   * Mixup blends each image of a batch with another. This is alpha of the Beta distribution; 0.2 is usual. Default 0:
   * never.
   */
  mixup: number
  /**
   * CutMix pastes a part of another image into each. This is alpha; 1 is usual. If mixup is on, too, each batch gets
   * one of them. Default 0.
   */
  cutmix: number
}

export interface ColorJitter {
  brightness: number
  contrast: number
  saturation: number
  hue: number
}

/** Augmentations with a name. The name of a policy stands for `standard` with that policy. */
export const AUGMENTATIONS = ['none', 'flip', 'standard', ...POLICIES] as const
export type AugmentationName = (typeof AUGMENTATIONS)[number]

/** A name, or the fields that differ from `'standard'`. */
export type AugmentationOption =
  | AugmentationName
  | Partial<Omit<Augmentation, 'colorJitter'> & { colorJitter: Partial<ColorJitter> | null }>

const STANDARD: Augmentation = {
  scale: [0.08, 1],
  ratio: [3 / 4, 4 / 3],
  horizontalFlip: 0.5,
  verticalFlip: 0,
  rotation: 0,
  colorJitter: null,
  policy: null,
  randomErasing: 0,
  mixup: 0,
  cutmix: 0,
}

const NO_JITTER: ColorJitter = { brightness: 0, contrast: 0, saturation: 0, hue: 0 }

function named(name: AugmentationName): Augmentation {
  if (name === 'none') return { ...STANDARD, scale: null, horizontalFlip: 0 }
  if (name === 'flip') return { ...STANDARD, scale: null }
  return { ...STANDARD, policy: name === 'standard' ? null : name }
}

/** Resolves the `augmentation` option. @throws ERR_INVALID_ARGUMENT with the name of the invalid field. */
export function checkAugmentation(name: string, value: unknown): Augmentation {
  if (typeof value === 'string') return named(check.oneOf(name, value, AUGMENTATIONS))
  if (!is.object(value)) throw invalid(name, `one of ${AUGMENTATIONS.join(', ')}, or an object`, value)
  check.options(name, value, Object.keys(STANDARD))
  const given = { ...STANDARD, ...value }
  const number = (field: keyof Augmentation, max: number) =>
    check.number(`${name}.${field}`, given[field], 0, max)
  return {
    scale: given.scale === null ? null : range(`${name}.scale`, given.scale, 1e-3, 1),
    ratio: range(`${name}.ratio`, given.ratio, 1e-2, 1e2),
    horizontalFlip: number('horizontalFlip', 1),
    verticalFlip: number('verticalFlip', 1),
    rotation: number('rotation', 180),
    colorJitter: given.colorJitter === null ? null : colorJitter(`${name}.colorJitter`, given.colorJitter),
    policy: given.policy === null ? null : check.oneOf(`${name}.policy`, given.policy, POLICIES),
    randomErasing: number('randomErasing', 1),
    mixup: number('mixup', 100),
    cutmix: number('cutmix', 100),
  }
}

function colorJitter(name: string, value: unknown): ColorJitter {
  if (!is.object(value)) throw invalid(name, 'an object, such as { brightness: 0.4 }', value)
  check.options(name, value, Object.keys(NO_JITTER))
  const given = { ...NO_JITTER, ...value }
  return {
    brightness: check.number(`${name}.brightness`, given.brightness, 0, 10),
    contrast: check.number(`${name}.contrast`, given.contrast, 0, 10),
    saturation: check.number(`${name}.saturation`, given.saturation, 0, 10),
    hue: check.number(`${name}.hue`, given.hue, 0, 0.5),
  }
}

function range(name: string, value: unknown, min: number, max: number): Range {
  const [low, high] = Array.isArray(value) ? value : []
  const right = Array.isArray(value) && value.length === 2 && is.number(low) && is.number(high)
  if (!right || low < min || high > max || low > high) {
    throw invalid(name, `two numbers from ${min} to ${max}, the smaller first`, value)
  }
  return [low, high]
}
