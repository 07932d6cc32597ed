// Peers side by side: npm run bench -- --help
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import type { Architecture } from '../lib/architectures.js'
import { integer, list } from '../lib/cli/options.js'
import { note, print, table } from '../lib/cli/terminal.js'
import { LIBTORCH_VERSION } from '../lib/loader/installation.js'
import { bootstrap, folder } from './bootstrap.js'
import type { Job } from './job.js'
import { type Answer, Peer, type PeerName } from './peer.js'

interface Options {
  network: Architecture[]
  batch: number[]
  dtype: Job['dtype'][]
  rounds: number
  threads: number
  compile: boolean
}

interface Spread {
  median: number
  min: number
  max: number
}

/** A cell: what was done, and each peer's time in ms, peak memory in MiB, and deviation from stock PyTorch. */
interface Cell {
  work: string
  load: number
  peers: Partial<
    Record<
      PeerName,
      { time: Spread; peak: Spread | undefined; deviation: number | undefined; times: number[] }
    >
  >
}

const works = ['inference', 'training', 'start', 'loading'] as const
const program = new Command('bench')
  .argument('[work...]', `${works.join(', ')} (default: all of them)`)
  .option('--network <names>', 'networks', list(String), ['resnet50', 'mobilenet_v2', 'vgg16'])
  .option('--batch <sizes>', 'images a batch', list(integer(1, 32)))
  .addOption(
    new Option('--dtype <names>', 'float32, bfloat16')
      .argParser(list(String))
      .default(['float32', 'bfloat16']),
  )
  .option('--rounds <n>', 'rounds, in each of which every peer takes its turn', integer(1, 100), 5)
  .option('--threads <n>', 'threads of every peer', integer(1, 256), availableParallelism())
  .option('--compile', 'also torch.compile with freezing (slow to start; needs g++)', false)
  .parse()
const options = program.opts<Options>()
const chosen = program.args.length === 0 ? [...works] : program.args
const cells: Cell[] = []
await bootstrap(
  [...new Set<Architecture>([...options.network, ...(chosen.includes('loading') ? ['vgg16' as const] : [])])],
  options.threads,
)
const weightsOf = (network: string) => join(folder, `${network}.pth`)

if (chosen.includes('inference')) {
  for (const network of options.network)
    for (const batch of options.batch ?? [1, 8, 32])
      for (const dtype of options.dtype) {
        const peers: PeerName[] = ['visiontorch', 'stock', 'tuned']
        if (options.compile) peers.push('compile')
        if (dtype === 'float32') peers.push('onnxruntime') // its CPU kernels know no bfloat16
        await served('inference', network, batch, dtype, peers)
      }
}
if (chosen.includes('training')) {
  for (const network of options.network.filter(name => name === 'resnet50' || options.network.length === 1))
    for (const batch of options.batch ?? [16, 32])
      for (const dtype of options.dtype)
        await served('training', network, batch, dtype, ['visiontorch', 'stock', 'tuned'])
}
if (chosen.includes('start')) {
  await processes('start to first prediction, resnet50', ['visiontorch', 'stock'], async name => {
    const start = performance.now()
    const { index } = await once(name, 'start', 'resnet50', weightsOf('resnet50'))
    return { time: performance.now() - start, index }
  })
}
if (chosen.includes('loading')) {
  for (const [container, file, peers] of [
    ['zip', 'vgg16', ['visiontorch', 'stock', 'mmap']],
    ['legacy', 'vgg16.legacy', ['visiontorch', 'stock']],
  ] as const)
    await processes(`loading vgg16, ${container}`, peers, name =>
      once(name, 'loading', 'vgg16', weightsOf(file)),
    )
}

const date = new Date().toISOString()
const machine = {
  cpu: cpus()[0]?.model,
  cores: availableParallelism(),
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  kernel: release(),
  node: process.version,
  libtorch: LIBTORCH_VERSION,
  threads: options.threads,
  omp: Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(G?OMP|KMP|MALLOC)_/.test(name))),
  hugePages: readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').trim(),
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
}
const results = join(import.meta.dirname, 'results')
mkdirSync(results, { recursive: true })
const path = join(results, `${date.slice(0, 16).replace(':', '')}.json`)
writeFileSync(path, `${JSON.stringify({ date, machine, rounds: options.rounds, cells }, null, 1)}\n`)
note(`wrote ${path}`)

/** A cell whose peers live side by side, and take turns. */
async function served(
  work: 'inference' | 'training',
  network: Architecture,
  batch: number,
  dtype: Job['dtype'],
  names: PeerName[],
): Promise<void> {
  const load = loadavg()[0]!
  const peers: Peer[] = []
  const counts = new Map<Peer, number>()
  const outputs = new Map<PeerName, number[]>()
  for (const name of names) {
    const peer = new Peer(name, {
      work,
      network,
      batch,
      dtype,
      threads: options.threads,
      weights: weightsOf(network),
    })
    peers.push(peer)
    await peer.answer()
    outputs.set(name, (await peer.run(1)).output)
    const { times } = await peer.run(1)
    counts.set(peer, Math.max(1, Math.min(20, Math.round(400 / times[0]!))))
  }
  const deviations = compare(outputs, dtype === 'float32' ? 1e-3 : 0.1)
  const answers = new Map<PeerName, Answer[]>(names.map(name => [name, []]))
  for (let round = 0; round < options.rounds; round++)
    for (const peer of peers) answers.get(peer.name)!.push(await peer.run(counts.get(peer)!))
  for (const peer of peers) await peer.end()
  add(`${work} ${network}, batch ${batch}, ${dtype}`, load, answers, deviations)
}

/** A cell in which every measurement is a process. */
async function processes(
  work: string,
  names: readonly PeerName[],
  measure: (name: PeerName) => Promise<Partial<Answer>>,
): Promise<void> {
  const load = loadavg()[0]!
  const answers = new Map<PeerName, Answer[]>(names.map(name => [name, []]))
  for (const name of names) await measure(name) // files into the page cache
  for (let round = 0; round < options.rounds; round++)
    for (const name of names) {
      const { time, ...rest } = await measure(name)
      answers.get(name)!.push({ ...rest, times: [time!] } as Answer)
    }
  const classes = new Set([...answers.values()].flat().map(({ index }) => index))
  if (classes.size > 1) throw new Error(`${work}: the peers predict different classes`)
  add(work, load, answers, new Map())
}

async function once(
  name: PeerName,
  work: Job['work'],
  network: Architecture,
  weights: string,
): Promise<Answer> {
  const peer = new Peer(name, {
    work,
    network,
    weights,
    batch: 1,
    dtype: 'float32',
    threads: options.threads,
  })
  const answer = await peer.answer()
  await peer.end()
  return answer
}

/** The largest difference from stock PyTorch's first output, as a share of its largest value. */
function compare(outputs: ReadonlyMap<PeerName, number[]>, tolerance: number): Map<PeerName, number> {
  const expected = outputs.get('stock')!
  const largest = Math.max(...expected.map(Math.abs))
  return new Map(
    [...outputs].map(([name, output]) => {
      if (output.length !== expected.length) throw new Error(`${name}: ${output.length} values`)
      const deviation = Math.max(...output.map((value, i) => Math.abs(value - expected[i]!))) / largest
      if (!(deviation <= tolerance)) throw new Error(`${name} differs from PyTorch by ${deviation}`)
      return [name, deviation]
    }),
  )
}

function add(
  work: string,
  load: number,
  answers: ReadonlyMap<PeerName, Answer[]>,
  deviations: ReadonlyMap<PeerName, number>,
): void {
  const cell: Cell = { work, load, peers: {} }
  for (const [name, all] of answers) {
    const times = all.flatMap(answer => answer.times)
    const peaks = all.map(({ peak }) => peak).filter(value => value !== undefined)
    cell.peers[name] = {
      time: spread(times),
      peak: peaks.length > 0 ? spread(peaks) : undefined,
      deviation: deviations.get(name),
      times,
    }
  }
  cells.push(cell)
  const own = cell.peers.visiontorch!.time.median
  print(`\n${work}`)
  const rows = Object.entries(cell.peers).map(([name, { time, peak, deviation }]) => [
    name,
    (time.median / own).toFixed(2),
    ...[time.median, time.min, time.max].map(value => value.toFixed(1)),
    peak?.median.toFixed(0) ?? '',
    deviation?.toExponential(1) ?? '',
  ])
  print(table(['', 'x', 'median ms', 'min', 'max', 'peak MiB', 'deviation'], rows, 'lrrrrrr'))
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}
