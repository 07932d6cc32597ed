import { sideBySide, toleranceOf } from '../measure.js'
import { show } from '../result.js'
import type { Options } from './options.js'

/** ResNet50 alone, where several networks are asked for. */
export async function training({ network, batch, dtype, rounds, threads }: Options): Promise<void> {
  for (const name of network.length > 1 ? ['resnet50' as const] : network)
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
