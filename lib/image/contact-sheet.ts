import type { OverlayOptions } from 'sharp'
import { check, invalid } from '../util/is.js'
import { loadSharp } from './sharp.js'

/** A picture of a contact sheet: RGB bytes, row by row, and the label below it. */
export interface LabelledImage {
  data: Uint8Array
  width: number
  height: number
  label: string
}

/** Sizes in pixels: the space between and around the pictures, and the height of the strip for a label. */
const GAP = 8
const STRIP = 20

/**
 * Arranges pictures in a grid, each with its label below, and returns a PNG file. Cells are as large as the largest picture.
 *
 * @param options.columns The number of pictures in a row. Default: a number that makes the grid about square.
 */
export async function contactSheet(
  images: readonly LabelledImage[],
  options: { columns?: number } = {},
): Promise<Buffer> {
  if (images.length === 0) throw invalid('images', 'at least one image', images)
  const columns = check.integer('options.columns', options.columns ?? Math.ceil(Math.sqrt(images.length)), 1)
  const across = Math.min(columns, images.length)
  const down = Math.ceil(images.length / columns)
  const cell = {
    width: Math.max(...images.map(({ width }) => width)) + GAP,
    height: Math.max(...images.map(({ height }) => height)) + STRIP + GAP,
  }
  const overlays = images.flatMap((image, i): OverlayOptions[] => {
    const left = GAP + (i % columns) * cell.width
    const top = GAP + Math.floor(i / columns) * cell.height
    const { data, width, height } = image
    return [
      {
        input: Buffer.from(data.buffer, data.byteOffset, data.length),
        raw: { width, height, channels: 3 },
        left,
        top,
      },
      { input: Buffer.from(labelSvg(image.label, cell.width - GAP)), left, top: top + height },
    ]
  })
  const sheet = { width: GAP + across * cell.width, height: GAP + down * cell.height }
  return loadSharp()({ create: { ...sheet, channels: 3, background: 'white' } })
    .composite(overlays)
    .png()
    .toBuffer()
}

function labelSvg(label: string, width: number): string {
  // Letters of this size are about 7 pixels wide.
  const room = Math.max(1, Math.floor(width / 7))
  const shown = [...label].length > room ? `${[...label].slice(0, room - 1).join('')}…` : label
  const escaped = shown.replace(/[&<>"'\p{Cc}]/gu, letter =>
    letter < ' ' || letter === '\x7f' ? ' ' : `&#${letter.codePointAt(0)};`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${STRIP}"><text x="1" y="15" font-family="sans-serif" font-size="13">${escaped}</text></svg>`
}
