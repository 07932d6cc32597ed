import { check, invalid, is } from '../util/is.js'

/** How an image of any shape becomes the network's square. */
export const RESIZE_MODES = ['crop', 'pad', 'squish'] as const
export type ResizeMode = (typeof RESIZE_MODES)[number]

/** How new pixels are computed from old ones, as Pillow does. */
export const INTERPOLATIONS = ['bilinear', 'bicubic'] as const
export type Interpolation = (typeof INTERPOLATIONS)[number]

/** From pixels to the network's input, as the weights were trained. Plain values: checkpoints hold it. */
export interface Preprocessing {
  /** The shorter side after resizing, in pixels, before the centre crop (mode `crop` only). */
  resize: number
  /** Width and height of the network's input, in pixels. */
  crop: number
  /** Mean of each channel, red, green and blue, on the scale of 0 to 1. */
  mean: [number, number, number]
  /** Standard deviation of each channel, on the scale of 0 to 1. */
  std: [number, number, number]
  interpolation: Interpolation
  /**
   * `crop`: resize the shorter side, cut out the centre. `pad`: fit the whole image in, fill the rest with gray.
   * `squish`: resize both sides, and ignore the proportions.
   */
  mode: ResizeMode
  /**
   * Whether an image is turned upright first, as its EXIF orientation says (Pillow's `ImageOps.exif_transpose`). torchvision
   * does not do that: false for exactly its pixels.
   */
  autoOrient: boolean
}

/** ImageNet's, as torchvision's IMAGENET1K_V1 weights and most others expect. */
export const DEFAULT_PREPROCESSING: Readonly<Preprocessing> = {
  resize: 256,
  crop: 224,
  mean: [0.485, 0.456, 0.406],
  std: [0.229, 0.224, 0.225],
  interpolation: 'bilinear',
  mode: 'crop',
  autoOrient: true,
}

/** Checks `value`, every field of which is optional, and fills in {@link DEFAULT_PREPROCESSING}. */
export function checkPreprocessing(name: string, value: unknown): Preprocessing {
  check.options(name, value, Object.keys(DEFAULT_PREPROCESSING))
  const given = { ...DEFAULT_PREPROCESSING, ...(value as Partial<Preprocessing>) }
  const crop = check.integer(`${name}.crop`, given.crop, 32, 4096)
  const mode = check.oneOf(`${name}.mode`, given.mode, RESIZE_MODES)
  return {
    resize: check.integer(`${name}.resize`, given.resize, mode === 'crop' ? crop : 1, 8192),
    crop,
    mean: channels(`${name}.mean`, given.mean, -1e3),
    std: channels(`${name}.std`, given.std, 1e-6),
    interpolation: check.oneOf(`${name}.interpolation`, given.interpolation, INTERPOLATIONS),
    mode,
    autoOrient: check.boolean(`${name}.autoOrient`, given.autoOrient),
  }
}

/** @internal The same preprocessing for another size of the network's input. */
export function cropTo(preprocessing: Readonly<Preprocessing>, crop: number): Preprocessing {
  const resize = Math.round((preprocessing.resize * crop) / preprocessing.crop)
  return { ...preprocessing, crop, resize }
}

function channels(name: string, value: unknown, min: number): [number, number, number] {
  if (
    !Array.isArray(value) ||
    value.length !== 3 ||
    !value.every(v => is.number(v) && v >= min && v <= 1e3)
  ) {
    throw invalid(name, `three numbers of at least ${min}: red, green, blue`, value)
  }
  return value as [number, number, number]
}
