// The two ways of measuring: peers that run side by side and take turns, or a process for every measurement.
import { setTimeout } from 'node:timers/promises'
import type { Job } from './job.js'
import { type Answer, Peer, type PeerName, type Task } from './peer.js'
import { beginCell, type Cell, inWords, limits, type Row, spread } from './result.js'

/** The first answer of visiontorch's peers. */
interface Facts {
  multiplyAdds?: number
}

/**
 * The pause before each turn, in ms: one peer's threads, which spin after its work, must not slow down the next peer.
 * ONNX Runtime's spin for 40 ms, PyTorch's for 4 to 7.
 */
const pause = 200

interface SideBySideOptions {
  rounds: number
  /** The number of images per call. */
  images: number
  /** The largest accepted difference from stock PyTorch's output, as a fraction of its largest value. */
  tolerance?: number
  /**
   * The most calls before the timing starts, of which the last output is compared. Default 1. Slow calls are fewer, for
   * about 2 s, but at least two.
   */
  before?: number
}

/**
 * Peers take turns at the same task, each as often in a row as fits into 1 s. Outputs are compared with stock PyTorch's
 * before the timing starts.
 */
export async function sideBySide(
  work: string,
  names: readonly PeerName[],
  task: Task,
  { rounds, tolerance = 0, images, before = 1 }: SideBySideOptions,
): Promise<Cell> {
  const { photos: _, ...job } = task
  const end = beginCell(work, job)
  const peers: Peer[] = []
  let calls = before // the same for all peers
  const counts = new Map<Peer, number>()
  const outputs = new Map<PeerName, number[]>()
  const facts: Facts = {}
  for (const name of names) {
    const peer = new Peer(name, task)
    peers.push(peer)
    Object.assign(facts, await peer.answer<Facts>())
    let answer = await peer.run(Math.min(2, calls))
    if (peers.length === 1) calls = Math.min(calls, Math.max(2, Math.round(2000 / answer.times.at(-1)!)))
    if (calls > 2) answer = await peer.run(calls - 2)
    outputs.set(name, answer.output)
    if (calls === 1) answer = await peer.run(1)
    counts.set(peer, Math.max(1, Math.min(20, Math.round(1000 / answer.times.at(-1)!))))
  }
  const differences = compare(outputs, tolerance, images, task.dtype === 'int8')
  const answers = new Map<Peer, Answer[]>(peers.map(peer => [peer, []]))
  for (let round = 0; round < rounds; round++)
    for (const peer of peers) {
      await setTimeout(pause)
      // visiontorch has returned its memory while the others had their turns. Few calls would mostly measure that.
      if (counts.get(peer)! < 5) await peer.run(1)
      answers.get(peer)!.push(await peer.run(counts.get(peer)!))
    }
  for (const peer of peers) await peer.end()
  const rows: Record<string, Row> = {}
  for (const [{ name }, all] of answers) {
    const times = all.flatMap(answer => answer.times)
    const { median } = spread(times)
    const figures: Row['figures'] = { 'images/s': (1000 * images) / median }
    if (facts.multiplyAdds !== undefined)
      Object.assign(figures, rate(facts.multiplyAdds * images, median, task))
    figures['peak MiB'] = spread(all.map(({ peak }) => peak)).median
    Object.assign(figures, differences.get(name))
    rows[name] = { times, figures }
  }
  return end(rows)
}

/** A training step does three times the work of inference: the gradients of inputs and of weights cost as much each. */
function rate(multiplyAdds: number, ms: number, { work, dtype = 'float32', threads }: Task): Row['figures'] {
  const gflops = ((work === 'training' ? 6 : 2) * multiplyAdds) / ms / 1e6
  const limit = limits[inWords(dtype, threads)]
  return { 'GFLOP/s': gflops, ...(limit && { '% of limit': (100 * gflops) / limit }) }
}

/**
 * The largest difference from stock PyTorch's output, or from that in float32, as a fraction of its largest value; in
 * 8 bits, also the share of images that get the same class.
 */
function compare(
  outputs: ReadonlyMap<PeerName, number[]>,
  tolerance: number,
  images: number,
  inBytes: boolean,
): Map<PeerName, Row['figures']> {
  const expected = outputs.get('stock') ?? outputs.get('in float32')
  if (expected === undefined || expected.length === 0) return new Map()
  const largest = Math.max(...expected.map(Math.abs))
  const classes = classesOf(expected, images)
  return new Map(
    [...outputs].map(([name, output]) => {
      if (output.length !== expected.length) throw new Error(`${name}: ${output.length} values`)
      const deviation = Math.max(...output.map((value, i) => Math.abs(value - expected[i]!))) / largest
      if (!(deviation <= tolerance)) throw new Error(`${name} differs by ${deviation}`)
      if (!inBytes) return [name, { deviation }]
      const same = classesOf(output, images).filter((index, image) => index === classes[image])
      return [name, { deviation, agreement: same.length / images }]
    }),
  )
}

/** The class with the highest logit, for each image. */
function classesOf(logits: readonly number[], images: number): number[] {
  const count = logits.length / images
  return Array.from({ length: images }, (_, image) => {
    const row = logits.slice(image * count, (image + 1) * count)
    return row.indexOf(Math.max(...row))
  })
}

/** Runs a process for every measurement. Returns each peer's answers. */
export async function inTurns<T>(
  names: readonly PeerName[],
  rounds: number,
  measure: (name: PeerName) => Promise<T>,
): Promise<Map<PeerName, T[]>> {
  const answers = new Map<PeerName, T[]>(names.map(name => [name, []]))
  for (let round = 0; round < rounds; round++)
    for (const name of names) answers.get(name)!.push(await measure(name))
  return answers
}

/** Throws if the peers do not predict the same class. */
export function checkClasses(answers: ReadonlyMap<PeerName, { index: number }[]>): void {
  const classes = new Set([...answers.values()].flat().map(({ index }) => index))
  if (classes.size > 1) throw new Error('the peers predict different classes')
}

/** The tolerance of outputs. It checks that all peers do the same work, not how accurately. */
export function toleranceOf(dtype: Job['dtype'], device: Job['device'] = 'cpu'): number {
  if (dtype === 'int8') return 0.5
  return dtype === 'float32' && device === 'cpu' ? 1e-3 : 0.1 // cuDNN computes in TF32
}
