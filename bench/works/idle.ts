import { once } from '../peer.js'
import { beginCell, show } from '../result.js'
import type { Options } from './options.js'

/** Processor time of an idle process, right after it has trained and predicted. */
export async function idle({ network: [name] = ['resnet50'], rounds, threads }: Options): Promise<void> {
  const end = beginCell(`processor time of 5 s without work, ${name}`)
  const times: number[] = []
  for (let round = 0; round < rounds; round++) {
    const { time } = await once<{ time: number }>('visiontorch', {
      work: 'idle',
      network: name!,
      batch: 8,
      threads,
    })
    times.push(time)
  }
  const mean = times.reduce((a, b) => a + b) / times.length
  show(end({ visiontorch: { times, figures: { '% of a core': (100 * mean) / 5000 } } }))
}
