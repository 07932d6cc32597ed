import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import sharp from 'sharp'

/** The pattern in the images of each class; any network learns to distinguish them. */
const patterns: Readonly<Record<string, (x: number, y: number) => boolean>> = {
  columns: x => x % 8 < 4,
  rows: (_, y) => y % 8 < 4,
  checks: (x, y) => x % 8 < 4 !== y % 8 < 4,
  plain: () => true,
}

export interface PhotoOptions {
  classes?: readonly string[]
  train?: number
  val?: number
  /** Width and height in pixels. */
  size?: number
}

/**
 * Draws a small data set: `root/{train,val}/<class>/<n>.png`, noisy patterns in colours that say nothing. The same
 * images each time.
 */
export async function drawPhotos(root: string, options: PhotoOptions = {}): Promise<void> {
  const { classes = ['checks', 'columns', 'rows'], train = 8, val = 4, size = 40 } = options
  const random = xoroshiro128plus(1)
  for (const [split, count] of Object.entries({ train, val })) {
    for (const name of classes) {
      const folder = join(root, split, name)
      await mkdir(folder, { recursive: true })
      for (let i = 0; i < count; i++) {
        const data = Buffer.alloc(size * size * 3)
        const [dark, bright] = [0, 160].map(base => [0, 1, 2].map(() => base + uniformInt(random, 0, 60)))
        const shift = uniformInt(random, 0, 7)
        for (let p = 0; p < size * size; p++) {
          const on = patterns[name]!((p % size) + shift, Math.floor(p / size) + shift)
          for (let c = 0; c < 3; c++) data[p * 3 + c] = (on ? bright! : dark!)[c]! + uniformInt(random, 0, 30)
        }
        await sharp(data, { raw: { width: size, height: size, channels: 3 } })
          .png()
          .toFile(join(folder, `${i}.png`))
      }
    }
  }
}
