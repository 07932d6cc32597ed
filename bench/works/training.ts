import { sideBySide, toleranceOf } from '../measure.js'
import { show } from '../result.js'
import type { Options } from './options.js'

export async function training({
  network = ['resnet50'],
  batch,
  dtype,
  rounds,
  threads,
}: Options): Promise<void> {
  for (const name of network)
    for (const images of batch ?? [16, 32])
      for (const type of dtype) {
        const task = { work: 'training', network: name, batch: images, dtype: type, threads } as const
        const title = `training ${name}, batch ${images}, ${type}`
        // Where there is dropout, each side drops something else.
        const tolerance = name.startsWith('resnet') ? toleranceOf(type) : 0.5
        const options = { rounds, images, tolerance }
        show(await sideBySide(title, ['visiontorch', 'stock', 'tuned'], task, options))
      }
}
