import { check, invalid, is } from '../util/is.js'
import { checkInputSize, type InputSize, toSize } from './size.js'

/** How an image of any shape becomes the network's input. */
export const RESIZE_MODES = ['crop', 'pad', 'letterbox', 'squish'] as const
export type ResizeMode = (typeof RESIZE_MODES)[number]

/** How new pixels are computed from old ones, as Pillow does. */
export const INTERPOLATIONS = ['bilinear', 'bicubic'] as const
export type Interpolation = (typeof INTERPOLATIONS)[number]

/**
 * How pixels become the network's input, as in the training of the weights. Plain values, because checkpoints contain
 * it.
 */
export interface Preprocessing {
  /**
   * The size before the centre crop, in pixels, as in torchvision's `Resize` (only for mode `crop`). A number is the shorter
   * side of an image that keeps its proportions; `[height, width]` is the exact size of the whole image.
   */
  resize: number | [height: number, width: number]
  /** The size of the network's input, in pixels: the side of a square, or `[height, width]`. */
  crop: number | [height: number, width: number]
  /** Mean of each channel, red, green and blue, on the scale of 0 to 1. */
  mean: [number, number, number]
  /** Standard deviation of each channel, on the scale of 0 to 1. */
  std: [number, number, number]
  interpolation: Interpolation
  /**
   * `crop` resizes to `resize` and cuts out the centre. `pad` fits the whole image in, and fills the rest with `fill`. `letterbox`
   * does the same with sizes rounded down, as classification-pytorch does. `squish` resizes both sides, and ignores the proportions.
   */
  mode: ResizeMode
  /** The color of the borders that `pad` and `letterbox` add: red, green and blue, 0 to 255. Default gray, 128. */
  fill: [number, number, number]
  /**
   * Whether to turn an image upright first, according to its EXIF orientation (Pillow's `ImageOps.exif_transpose`). torchvision
   * does not do that, so use false to get exactly its pixels.
   */
  autoOrient: boolean
}

/** ImageNet's preprocessing, which torchvision's IMAGENET1K_V1 weights and most others expect. */
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
 * The preprocessing of other programs, by name. For evaluation, `classification-pytorch` resizes the shorter side to 224 pixels and
 * cuts out the centre; with `letterbox_image`, its default for predictions, it fits the whole image in with bicubic interpolation.
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

/** Checks `value`, a name or an object with optional fields, and completes it with {@link DEFAULT_PREPROCESSING}. */
export function checkPreprocessing(name: string, value: unknown): Preprocessing {
  if (typeof value === 'string')
    return { ...NAMED_PREPROCESSING[check.oneOf(name, value, preprocessingNames)] }
  check.options(name, value, Object.keys(DEFAULT_PREPROCESSING))
  const given = { ...DEFAULT_PREPROCESSING, ...(value as Partial<Preprocessing>) }
  const crop = square(checkInputSize(`${name}.crop`, given.crop, 32, 4096))
  const mode = check.oneOf(`${name}.mode`, given.mode, RESIZE_MODES)
  return {
    resize: checkResize(`${name}.resize`, given.resize, mode === 'crop' ? crop : 1),
    crop,
    mean: channels(`${name}.mean`, given.mean, -1e3),
    std: channels(`${name}.std`, given.std, 1e-6),
    interpolation: check.oneOf(`${name}.interpolation`, given.interpolation, INTERPOLATIONS),
    mode,
    fill: checkColor(`${name}.fill`, given.fill),
    autoOrient: check.boolean(`${name}.autoOrient`, given.autoOrient),
  }
}

/**
 * @internal The same preprocessing for a different size of the network's input. If that is not square, images are resized to
 * its proportions.
 */
export function cropTo(preprocessing: Readonly<Preprocessing>, crop: InputSize): Preprocessing {
  const { resize } = preprocessing
  const [from, to, resized] = [toSize(preprocessing.crop), toSize(crop), toSize(resize)]
  if (from.width === to.width && from.height === to.height) return { ...preprocessing }
  const height = Math.round((resized.height * to.height) / from.height)
  const width = Math.round((resized.width * to.width) / from.width)
  const keepsProportions = typeof resize === 'number' && height === width
  return {
    ...preprocessing,
    crop: square([to.height, to.width]),
    resize: keepsProportions ? height : [height, width],
  }
}

/** Uses one number for a square. */
const square = (size: number | [number, number]): number | [number, number] =>
  typeof size !== 'number' && size[0] === size[1] ? size[0] : size

/** @throws ERR_INVALID_ARGUMENT if the resized image would not cover the crop. */
function checkResize(name: string, value: unknown, crop: InputSize): Preprocessing['resize'] {
  const least = toSize(crop)
  const resize = checkInputSize(
    name,
    value,
    Array.isArray(value) ? 1 : Math.max(least.width, least.height),
    8192,
  )
  if (typeof resize === 'number') return resize
  check.integer(`${name}[0]`, resize[0], least.height, 8192)
  check.integer(`${name}[1]`, resize[1], least.width, 8192)
  return resize
}

/** @internal Checks for three integers from 0 to 255. */
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
