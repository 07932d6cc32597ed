import { print } from '../../lib/cli/terminal.js'
import { createModel } from '../../lib/index.js'
import { sideBySide, toleranceOf } from '../measure.js'
import { format, show } from '../result.js'
import type { Options } from './options.js'

/**
 * Two processes on this machine share their steps, with half of the threads each. Beside PyTorch's DistributedDataParallel:
 * `apart`, two processes that exchange nothing but wait for each other after each step, and `one process`, which has the images and
 * the threads of both.
 */
export async function distributed({
  network = ['resnet50', 'mobilenet_v2'],
  batch,
  dtype,
  rounds,
  threads,
}: Options): Promise<void> {
  const each = Math.max(1, threads >> 1)
  for (const name of network) {
    const model = await createModel(name)
    const megabytes = (4 * model.summary().parameterCount) / 1e6
    model.dispose()
    const base = { work: 'distributed', network: name, threads: each } as const
    const exchange = await sideBySide(
      `exchange of gradients, ${name}, 2 processes`,
      ['visiontorch', 'tuned'],
      { ...base, task: 'exchange' },
      { rounds, images: 0 },
    )
    for (const { figures, time } of Object.values(exchange.peers)) {
      delete figures['images/s']
      figures['MB/s'] = (1000 * megabytes) / time.median
    }
    show(exchange)
    for (const type of dtype)
      for (const images of batch ?? [16]) {
        const cell = await sideBySide(
          `distributed step ${name}, 2 processes x batch ${images}, ${type}`,
          ['visiontorch', 'apart', 'one process', 'stock', 'tuned'],
          { ...base, task: 'step', batch: images, dtype: type },
          { rounds, images: 2 * images, tolerance: toleranceOf(type) },
        )
        const { visiontorch, apart } = cell.peers
        const left = visiontorch!.time.median - apart!.time.median
        const whole = exchange.peers.visiontorch!.time.median
        const hidden = 100 * (1 - left / whole)
        visiontorch!.figures['hidden %'] = hidden
        show(cell)
        print(
          `the exchange takes ${format(whole)} ms alone, and makes the step ${format(left)} ms longer: ` +
            (hidden > 0 ? `${format(hidden)} % are hidden` : 'nothing is hidden'),
        )
      }
  }
}
