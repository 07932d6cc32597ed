// What was measured: shown as tables, and written as JSON with the machine's description.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { note, print, table } from '../lib/cli/terminal.js'
import { LIBTORCH_VERSION } from '../lib/loader/installation.js'
import type { Job } from './job.js'

export interface Spread {
  median: number
  min: number
  max: number
}

/** Every time in ms, and what else is known of it: images/s, memory in MiB, the deviation from stock PyTorch. */
export interface Row {
  times: number[]
  figures: Record<string, number>
}

/** A cell of the results: what was done, and how long each peer took. The first one is what ratios refer to. */
export interface Cell {
  work: string
  /** The machine's load before. */
  load: number
  /** What was asked for, where all peers were told the same. */
  job?: Partial<Job>
  peers: Record<string, Row & { time: Spread }>
}

const cells: Cell[] = []

/** The best rate seen on this machine in GFLOP/s, by dtype and threads: `limit` fills it. */
export const limits: Record<string, number> = {}
export const inWords = (dtype: Job['dtype'], threads: number) =>
  `${dtype}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`

/** Notes the load at the beginning, and gives what adds the cell at the end. */
export function beginCell(work: string, job?: Partial<Job>): (rows: Record<string, Row>) => Cell {
  const load = loadavg()[0]!
  return rows => {
    const peers = Object.fromEntries(
      Object.entries(rows).map(([name, row]) => [name, { time: spread(row.times), ...row }]),
    )
    const cell = { work, load, ...(job && { job }), peers }
    cells.push(cell)
    return cell
  }
}

export function show({ work, peers }: Cell): void {
  const rows = Object.entries(peers)
  const own = rows[0]![1].time.median
  const figures = [...new Set(rows.flatMap(([, row]) => Object.keys(row.figures)))]
  const cellsOf = ([name, row]: (typeof rows)[number]) => [
    name,
    (row.time.median / own).toFixed(2),
    ...[row.time.median, row.time.min, row.time.max].map(format),
    ...figures.map(figure => format(row.figures[figure])),
  ]
  print(`\n${work}`)
  print(
    table(
      ['', 'x', 'median ms', 'min', 'max', ...figures],
      rows.map(cellsOf),
      `l${'r'.repeat(4 + figures.length)}`,
    ),
  )
}

/** Three digits, more where they are before the point. */
export function format(value: number | undefined): string {
  if (value === undefined) return ''
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1)
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const median = sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
  return { median, min: sorted[0]!, max: sorted.at(-1)! }
}

export const resultsFolder = join(import.meta.dirname, 'results')

/** Writes what there is so far. */
export function save(options: { rounds: number; threads: number }): void {
  if (cells.length === 0) return
  const date = new Date().toISOString()
  const { rounds, threads } = options
  const machine = {
    cpu: cpus()[0]?.model,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    libtorch: LIBTORCH_VERSION,
    threads,
    omp: Object.fromEntries(
      Object.entries(process.env).filter(([name]) => /^(G?OMP|KMP|MALLOC)_/.test(name)),
    ),
    hugePages: readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').trim(),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  }
  mkdirSync(resultsFolder, { recursive: true })
  const path = join(resultsFolder, `${date.slice(0, 19).replaceAll(':', '')}.json`)
  writeFileSync(path, `${JSON.stringify({ date, machine, rounds, limits, cells }, null, 1)}\n`)
  note(`wrote ${path}`)
}
