import { checkClasses, inTurns } from '../measure.js'
import { Peer, type PeerName } from '../peer.js'
import { beginCell, type Row, show } from '../result.js'
import type { Options } from './options.js'

const names: PeerName[] = ['visiontorch', 'stock', 'onnxruntime']

/** The time from the start of a process to its first prediction, for a JPEG file. */
export async function start({ rounds, threads }: Options): Promise<void> {
  const end = beginCell('start to first prediction, resnet50')
  const measure = async (name: PeerName) => {
    const begin = performance.now()
    const peer = new Peer(name, { work: 'start', network: 'resnet50', threads })
    const { index } = await peer.answer<{ index: number }>()
    const time = performance.now() - begin
    await peer.end()
    return { time, index }
  }
  await inTurns(names, 1, measure) // brings the files into the page cache
  const answers = await inTurns(names, rounds, measure)
  checkClasses(answers)
  const rows: Record<string, Row> = {}
  for (const [name, all] of answers) rows[name] = { times: all.map(({ time }) => time), figures: {} }
  show(end(rows))
}
