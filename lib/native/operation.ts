/** Left, top, width and height, in pixels. */
export type Rect = readonly [left: number, top: number, width: number, height: number]

export type Color = readonly [red: number, green: number, blue: number]

export type Matrix = readonly [number, number, number, number, number, number]

export type Interpolation = 'nearest' | 'bilinear' | 'bicubic'

/**
 * One step from decoded pixels to what the network sees, with all its parameters. Native code runs them in order
 * (native/image/transform.h) and does nothing that is random.
 */
export type Operation =
  /** The part `from` resized to `size`, of which only `crop` is wanted. */
  | { op: 'resize'; from: Rect; size: readonly [number, number]; crop: Rect; filter: Interpolation }
  /** Put at `at` onto a canvas of one colour. */
  | { op: 'pad'; size: readonly [number, number]; at: readonly [number, number]; fill: Color }
  | { op: 'horizontalFlip' }
  | { op: 'verticalFlip' }
  /**
   * Output pixel (x, y) from (a x + b y + c, d x + e y + f), measured from pixel corners as in Pillow's
   * Image.transform; `fill` outside of the image.
   */
  | { op: 'affine'; matrix: Matrix; filter: 'nearest' | 'bilinear'; fill: Color }
  /** Pillow's ImageEnhance: 0 is black, mean gray, gray or smoothed, 1 changes nothing. */
  | { op: 'brightness' | 'contrast' | 'saturation' | 'sharpness'; amount: number }
  /** Turned by this share of the circle, -0.5 to 0.5. */
  | { op: 'hue'; amount: number }
  /** The bits that are kept, 0 to 8. */
  | { op: 'posterize'; amount: number }
  /** What reaches this value is inverted. */
  | { op: 'solarize'; amount: number }
  | { op: 'autocontrast' }
  | { op: 'equalize' }
  | { op: 'invert' }
  | { op: 'erase'; box: Rect; fill: Color }
  /** `weight` x the image + the sum of `weight` x what each chain of operations, which keep the size, makes of it. */
  | { op: 'mix'; weight: number; chains: readonly Chain[] }

export interface Chain {
  weight: number
  operations: readonly Operation[]
}
