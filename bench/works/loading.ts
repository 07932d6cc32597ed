import { statSync } from 'node:fs'
import { checkClasses, inTurns } from '../measure.js'
import { weightsOf } from '../paths.js'
import { once, type PeerName } from '../peer.js'
import { beginCell, type Row, show, spread } from '../result.js'
import type { Options } from './options.js'

/** The time in ms, and the peak memory in MiB above that of a process that has only loaded LibTorch. */
interface Cost {
  time: number
  rise: number
}

interface Answer {
  /** Loading the weights from the file into the network. */
  loaded: Cost
  /** The same with a first prediction, which pays for work that loading defers. */
  used: Cost
  index: number
}

const files: [container: string, file: string, peers: PeerName[]][] = [
  ['zip', 'vgg16', ['visiontorch', 'stock', 'mmap']],
  ['legacy, aligned', 'vgg16.legacy', ['visiontorch', 'stock']],
  // Like torchvision's own vgg16-397923af.pth.
  ['legacy, at odd addresses', 'vgg16.odd', ['visiontorch', 'stock']],
]

export async function loading({ rounds, threads }: Options): Promise<void> {
  for (const [container, file, peers] of files) {
    const weights = weightsOf(file)
    const size = statSync(weights).size / 2 ** 20
    const ends = {
      loaded: beginCell(`loading vgg16, ${container}`),
      used: beginCell(`loading vgg16, ${container}, and a first prediction`),
    }
    const task = { work: 'loading', network: 'vgg16', weights, threads } as const
    const measure = (name: PeerName) => once<Answer>(name, task)
    await inTurns(peers, 1, measure) // brings the file into the page cache
    const answers = await inTurns(peers, rounds, measure)
    checkClasses(answers)
    for (const part of ['loaded', 'used'] as const) {
      const rows: Record<string, Row> = {}
      for (const [name, all] of answers) {
        const rise = spread(all.map(answer => answer[part].rise)).median
        const figures = { 'memory MiB': rise, 'x weights': rise / size }
        rows[name] = { times: all.map(answer => answer[part].time), figures }
      }
      show(ends[part](rows))
    }
  }
}
