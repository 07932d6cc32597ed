import { sideBySide } from '../measure.js'
import { photoFolder } from '../photos.js'
import { show } from '../result.js'
import type { Options } from './options.js'

const sizes = [
  [320, 213],
  [500, 375],
  [2000, 1500],
] as const
const transforms = ['decode', 'evaluation', 'standard', 'autoaugment', 'randaugment', 'trivialaugment']

/** Processor time per image on one thread, compared with Pillow and torchvision. */
export async function decode({ rounds }: Options): Promise<void> {
  for (const [width, height] of sizes) {
    const { photos } = await photoFolder(width, height, 32)
    for (const task of ['decode + evaluation', ...(width === 500 ? transforms : [])]) {
      const job = { work: 'decode', network: 'resnet50', photos, task, threads: 1 } as const
      const options = { rounds, images: 1, tolerance: 1e-5 }
      const title = `${task}, ${width} x ${height} JPEG, processor time of an image`
      show(await sideBySide(title, ['visiontorch', 'stock'], job, options))
    }
  }
}
