import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import sharp from 'sharp'

// Draws pictures: each has one shape of any colour, size and angle on a coloured background, with lines and blobs
// around it, noise and a little blur. A person can tell the shapes apart at once; no rule about colours can.

/** The classes. Each draws its outline inside a circle of radius 1. */
const outlines: Record<string, string> = {
  circle: '<circle r="0.85"/>',
  cross: polygon([
    -0.3, -0.95, 0.3, -0.95, 0.3, -0.3, 0.95, -0.3, 0.95, 0.3, 0.3, 0.3, 0.3, 0.95, -0.3, 0.95, -0.3, 0.3,
    -0.95, 0.3, -0.95, -0.3, -0.3, -0.3,
  ]),
  moon: '<path d="M0.35,-0.9 A0.95,0.95 0 1 0 0.35,0.9 A0.75,0.75 0 1 1 0.35,-0.9 Z"/>',
  square: '<rect x="-0.7" y="-0.7" width="1.4" height="1.4"/>',
  star: polygon(Array.from({ length: 10 }, (_, i) => around(i / 10, i % 2 === 0 ? 1 : 0.42)).flat()),
  triangle: polygon([0, 1 / 3, 2 / 3].flatMap(turn => around(turn, 1))),
}

export const shapes = Object.keys(outlines)

/**
 * Writes `directory/train/<shape>/*.jpg` and `directory/val/<shape>/*.jpg`, and a few of each shape under `held-out`.
 * The same seed gives the same pictures.
 */
export async function writeShapes(
  directory: string,
  { train, val, heldOut, seed = 0 }: { train: number; val: number; heldOut: number; seed?: number },
): Promise<void> {
  const generator = xoroshiro128plus(seed)
  const random = () => uniformFloat64(generator)
  for (const [split, count] of Object.entries({ train, val, 'held-out': heldOut })) {
    for (const shape of shapes) {
      await mkdir(join(directory, split, shape), { recursive: true })
      const names = Array.from(
        { length: count },
        (_, index) => `${shape}-${String(index).padStart(4, '0')}.jpg`,
      )
      // Random numbers are drawn in order, so that they do not depend on which picture is finished first.
      const pictures = names.map(name => ({
        name,
        svg: draw(outlines[shape]!, random),
        noise: noise(random),
      }))
      await Promise.all(
        pictures.map(({ name, svg, noise }) =>
          sharp(Buffer.from(svg))
            .blur(0.6)
            .composite([{ input: noise, raw: { width: SIZE, height: SIZE, channels: 4 } }])
            .removeAlpha()
            .jpeg({ quality: 88 })
            .toFile(join(directory, split, shape, name)),
        ),
      )
    }
  }
}

/** Height and width of a picture, in pixels. */
const SIZE = 80

function draw(outline: string, random: () => number): string {
  const between = (low: number, high: number) => low + (high - low) * random()
  const hue = between(0, 360)
  // The shape differs from its background in lightness and hue, so that it is visible.
  const ground = () => `hsl(${hue + between(-40, 40)}, ${between(20, 70)}%, ${between(40, 60)}%)`
  const color = () => `hsl(${between(0, 360)}, ${between(30, 90)}%, ${between(20, 80)}%)`
  const clutter = Array.from({ length: 5 }, () => {
    const [x, y] = [between(0, SIZE), between(0, SIZE)]
    return random() < 0.5
      ? `<line x1="${x}" y1="${y}" x2="${between(0, SIZE)}" y2="${between(0, SIZE)}" stroke="${color()}" stroke-width="${between(1, 2.5)}"/>`
      : `<ellipse cx="${x}" cy="${y}" rx="${between(2, 6)}" ry="${between(2, 6)}" fill="${color()}" opacity="0.8"/>`
  })
  const radius = between(25, 34)
  const place = () => between(radius, SIZE - radius)
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIZE}" height="${SIZE}">
<linearGradient id="ground" gradientTransform="rotate(${between(0, 90)})"><stop stop-color="${ground()}"/><stop offset="1" stop-color="${ground()}"/></linearGradient>
<rect width="100%" height="100%" fill="url(#ground)"/>${clutter.slice(0, 3).join('')}
<g transform="translate(${place()} ${place()}) rotate(${between(0, 360)}) scale(${radius} ${radius * between(0.75, 1)})" fill="hsl(${hue + between(90, 270)}, ${between(55, 95)}%, ${random() < 0.5 ? between(15, 30) : between(70, 85)}%)">${outline}</g>
${clutter.slice(3).join('')}</svg>`
}

/** Grey specks of random strength over the whole picture. */
function noise(random: () => number): Buffer {
  const strength = 10 + 20 * random()
  const pixels = Buffer.alloc(SIZE * SIZE * 4)
  for (let at = 0; at < pixels.length; at += 4) {
    const level = random()
    pixels.fill(level < 0.5 ? 0 : 255, at, at + 3)
    pixels[at + 3] = strength * Math.abs(2 * level - 1)
  }
  return pixels
}

function around(turn: number, radius: number): [number, number] {
  const angle = 2 * Math.PI * turn
  return [radius * Math.sin(angle), -radius * Math.cos(angle)]
}

function polygon(numbers: readonly number[]): string {
  return `<polygon points="${numbers.map(number => number.toFixed(3)).join(' ')}"/>`
}
