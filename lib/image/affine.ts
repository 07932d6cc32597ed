import type { Color, Matrix, Operation } from '../native/operation.js'
import type { Size } from './size.js'

// The geometric operations of torchvision, as affine maps from output to input.

type Filter = 'nearest' | 'bilinear'

const BLACK: Color = [0, 0, 0]

/**
 * Rotates counterclockwise about the centre by `angle` degrees, as Pillow's Image.rotate; uncovered corners are
 * black.
 */
export function rotate(angle: number, { width, height }: Size, filter: Filter): Operation {
  const radians = (-(((angle % 360) + 360) % 360) * Math.PI) / 180
  const [cos, sin] = [round15(Math.cos(radians)), round15(Math.sin(radians))]
  const [x, y] = [width / 2, height / 2]
  const matrix: Matrix = [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y]
  return { op: 'affine', matrix, filter, fill: BLACK }
}

/** Shifts sideways by `magnitude` pixels for each pixel down. */
export function shearX(magnitude: number, filter: Filter): Operation {
  return { op: 'affine', matrix: [1, Math.tan(angle(magnitude)), 0, 0, 1, 0], filter, fill: BLACK }
}

/** Shifts down by `magnitude` pixels for each pixel to the right. */
export function shearY(magnitude: number, filter: Filter): Operation {
  const radians = angle(magnitude)
  const slope = Math.sin(radians) / Math.cos(radians)
  return { op: 'affine', matrix: [1, 0, 0, slope, 1, 0], filter, fill: BLACK }
}

/** Shifts by whole pixels to the right and down. */
export function translate(x: number, y: number, filter: Filter): Operation {
  return { op: 'affine', matrix: [1, 0, -Math.trunc(x), 0, 1, -Math.trunc(y)], filter, fill: BLACK }
}

/** The angle of a shear, converted to degrees and back as in torchvision: the last bit decides some pixels. */
function angle(magnitude: number): number {
  return Math.atan(magnitude) * (180 / Math.PI) * (Math.PI / 180)
}

/** Rounds a sine or cosine as Pillow does, so that right angles are exact. */
function round15(value: number): number {
  return Number(value.toFixed(15))
}
