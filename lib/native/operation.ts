/** Left, top, width and height, in pixels. */
export type Rect = readonly [left: number, top: number, width: number, height: number]

export type Color = readonly [red: number, green: number, blue: number]

export type Matrix = readonly [number, number, number, number, number, number]

export type Interpolation = 'nearest' | 'bilinear' | 'bicubic'

/**
 * One step from decoded pixels to the network's input, with all its parameters. Native code runs the steps in
 * order (native/image/transform.h), and nothing in it is random.
 */
export type Operation =
  /** Resizes the part `from` to `size`; only `crop` of the result is needed. */
  | { op: 'resize'; from: Rect; size: readonly [number, number]; crop: Rect; filter: Interpolation }
  /** Places the image at `at` on a canvas of one colour. */
  | { op: 'pad'; size: readonly [number, number]; at: readonly [number, number]; fill: Color }
  | { op: 'horizontalFlip' }
  | { op: 'verticalFlip' }
  /**
   * Takes output pixel (x, y) from (a x + b y + c, d x + e y + f), measured from pixel corners as in Pillow's
   * Image.transform; uses `fill` outside the image.
   */
  | { op: 'affine'; matrix: Matrix; filter: 'nearest' | 'bilinear'; fill: Color }
  /** Pillow's ImageEnhance: 0 gives black, mean gray, gray or a smoothed image, and 1 changes nothing. */
  | { op: 'brightness' | 'contrast' | 'saturation' | 'sharpness'; amount: number }
  /** Turns the hue by this share of the circle, -0.5 to 0.5. */
  | { op: 'hue'; amount: number }
  /** How many bits to keep, 0 to 8. */
  | { op: 'posterize'; amount: number }
  /** Values from this one on are inverted. */
  | { op: 'solarize'; amount: number }
  | { op: 'autocontrast' }
  | { op: 'equalize' }
  | { op: 'invert' }
  | { op: 'erase'; box: Rect; fill: Color }
  /** `weight` x the image + the sum over the chains of `weight` x the image after the chain's operations, which keep the size. */
  | { op: 'mix'; weight: number; chains: readonly Chain[] }

export interface Chain {
  weight: number
  operations: readonly Operation[]
}
