import { check, invalid, is } from '../util/is.js'

/** How an image of any shape becomes the network's square. */
export const RESIZE_MODES = ['crop', 'pad', 'letterbox', 'squish'] as const
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
   * `crop`: resize the shorter side, cut out the centre. `pad`: fit the whole image in, fill the rest with `fill`. `letterbox`: the
   * same with sizes rounded down, as classification-pytorch does it. `squish`: resize both sides, and ignore the proportions.
   */
  mode: ResizeMode
  /** Red, green and blue, 0 to 255, of what `pad` and `letterbox` leave free. Default gray, 128. */
  fill: [number, number, number]
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
  fill: [128, 128, 128],
  autoOrient: true,
}

/**
 * Those of other programs, by name. `classification-pytorch` resizes the shorter side to 224 pixels and cuts out the center, to evaluate;
 * with `letterbox_image`, the default of its predictions, it fits the whole image in, by bicubic interpolation.
 */
export const NAMED_PREPROCESSING = {
  'classification-pytorch': { ...DEFAULT_PREPROCESSING, resize: 224, autoOrient: false },
  'classification-pytorch-letterbox': {
    ...DEFAULT_PREPROCESSING,
    resize: 224,
    interpolation: 'bicubic',
    mode: 'letterbox',
    autoOrient: false,
  },
} as const satisfies Record<string, Readonly<Preprocessing>>

export type PreprocessingName = keyof typeof NAMED_PREPROCESSING

const preprocessingNames = Object.keys(NAMED_PREPROCESSING) as PreprocessingName[]

/** Checks `value`, a name or an object, every field of which is optional, and fills in {@link DEFAULT_PREPROCESSING}. */
export function checkPreprocessing(name: string, value: unknown): Preprocessing {
  if (typeof value === 'string')
    return { ...NAMED_PREPROCESSING[check.oneOf(name, value, preprocessingNames)] }
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
    fill: checkColor(`${name}.fill`, given.fill),
    autoOrient: check.boolean(`${name}.autoOrient`, given.autoOrient),
  }
}

/** @internal The same preprocessing for another size of the network's input. */
export function cropTo(preprocessing: Readonly<Preprocessing>, crop: number): Preprocessing {
  const resize = Math.round((preprocessing.resize * crop) / preprocessing.crop)
  return { ...preprocessing, crop, resize }
}

/** @internal Three integers from 0 to 255. */
export function checkColor(name: string, value: unknown): [number, number, number] {
  const isByte = (part: unknown) => is.integer(part) && part >= 0 && part <= 255
  if (Array.isArray(value) && value.length === 3 && value.every(isByte))
    return value as [number, number, number]
  throw invalid(name, 'three integers from 0 to 255: red, green, blue', value)
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
