import { check, invalid, is } from '../util/is.js'

/** Width and height of an image, in pixels. */
export interface Size {
  width: number
  height: number
}

/** The side of a square, or `[height, width]` as in torchvision, in pixels. */
export type InputSize = number | readonly [height: number, width: number]

/** The width and height of an input size. */
export function toSize(size: InputSize): Size {
  const [height, width] = typeof size === 'number' ? [size, size] : size
  return { width, height }
}

/** `224 x 224`: height, then width. */
export function formatSize(size: InputSize): string {
  const { width, height } = toSize(size)
  return `${height} x ${width}`
}

/**
 * Parses `224` or `160x224` from the command line. Other text stays as it is, so that {@link checkInputSize} refuses
 * it.
 */
export function parseInputSize(text: string): unknown {
  const sides = /^\s*(\d+)(?:\s*[x×]\s*(\d+))?\s*$/i.exec(text)
  if (sides === null) return text
  return sides[2] === undefined ? Number(sides[1]) : [Number(sides[1]), Number(sides[2])]
}

/** Checks for one side from `min` to `max`, or two of them. */
export function checkInputSize(
  name: string,
  value: unknown,
  min: number,
  max: number,
): number | [height: number, width: number] {
  if (Array.isArray(value) && value.length === 2) {
    const [height, width] = value.map((side, i) => check.integer(`${name}[${i}]`, side, min, max))
    return [height!, width!]
  }
  if (is.integer(value) && value >= min && value <= max) return value
  throw invalid(name, `an integer from ${min} to ${max}, or two: [height, width]`, value)
}
