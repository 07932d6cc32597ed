import { Peer } from '../peer.js'
import { photoFolder } from '../photos.js'
import { beginCell, show } from '../result.js'
import { networks, type Options } from './options.js'

const count = 64

interface Answer {
  calls: number[]
  array: number[]
  latencies: number[]
  scores: [number[], number[]]
}

/** Compares many concurrent calls with one image each with one call for all of them, in the same process. */
export async function concurrent({ network = networks, dtype, rounds, threads }: Options): Promise<void> {
  const { photos } = await photoFolder(500, 375, count)
  for (const name of network)
    for (const type of dtype)
      for (const task of ['pixels', 'files']) {
        const end = beginCell(`${count} calls at once, ${name}, ${type}, from ${task}`)
        const peer = new Peer('visiontorch', {
          work: 'concurrent',
          network: name,
          dtype: type,
          photos,
          task,
          threads,
        })
        await peer.answer()
        const { scores } = await peer.run<Answer>(1) // warms up
        if (scores[0].some((score, i) => !(Math.abs(score / scores[1][i]! - 1) < 0.01)))
          throw new Error(`${name}: concurrent calls predict something else`)
        const { calls, array, latencies } = await peer.run<Answer>(rounds)
        await peer.end()
        const sorted = latencies.toSorted((a, b) => a - b)
        const rate = (times: number[]) => (1000 * count * times.length) / times.reduce((a, b) => a + b)
        const percentile = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!
        show(
          end({
            [`${count} calls`]: {
              times: calls,
              figures: {
                'images/s': rate(calls),
                'p50 ms': percentile(0.5),
                'p99 ms': percentile(0.99),
              },
            },
            'one call': { times: array, figures: { 'images/s': rate(array) } },
          }),
        )
      }
}
