import { Peer } from '../peer.js'
import { beginCell, inWords, limits, type Row, show } from '../result.js'
import type { Options } from './options.js'

type Answer = Record<string, { times: number[]; gflop: number }>

/** The best rate of arithmetic that this machine reaches: oneDNN and MKL, called from Python, on shapes that suit them. */
export async function limit({ dtype, rounds, threads }: Options): Promise<void> {
  for (const type of dtype)
    for (const count of new Set([1, threads])) {
      const key = inWords(type, count)
      const end = beginCell(`limit of arithmetic, ${key}`)
      const peer = new Peer('tuned', { work: 'limit', network: 'resnet50', dtype: type, threads: count })
      await peer.answer()
      await peer.run(1) // warms up
      const rows: Record<string, Row> = {}
      for (const [name, { times, gflop }] of Object.entries(await peer.run<Answer>(5 * rounds)))
        rows[name] = { times, figures: { 'best GFLOP/s': (1000 * gflop) / Math.min(...times) } }
      await peer.end()
      limits[key] = Math.max(...Object.values(rows).map(({ figures }) => figures['best GFLOP/s']!))
      show(end(rows))
    }
}
