/** Left, top, width and height, in pixels. */
export type Rect = readonly [left: number, top: number, width: number, height: number]

export type Color = readonly [red: number, green: number, blue: number]

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
