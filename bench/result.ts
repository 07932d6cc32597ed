// The measurements, shown as tables, and written as JSON with a description of the machine.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { note, print, table } from '../lib/cli/terminal.js'
import { LIBTORCH_VERSION } from '../lib/libtorch/installation.js'
import { runtimeInfo } from '../lib/native/runtime.js'
import type { Job } from './job.js'

export interface Spread {
  median: number
  min: number
  max: number
}

/** Every time in ms, and other figures: images/s, memory in MiB, the deviation from stock PyTorch. */
export interface Row {
  times: number[]
  figures: Record<string, number>
}

/** A cell of the results: the task, and how long each peer took. Ratios refer to the first peer. */
export interface Cell {
  work: string
  /** The machine's load before the measurement. */
  load: number
  /** The job, as far as it was the same for all peers. */
  job?: Partial<Job>
  peers: Record<string, Row & { time: Spread }>
}

const cells: Cell[] = []

/** The best rate seen on this machine in GFLOP/s, by dtype and threads. `limit` sets it. */
export const limits: Record<string, number> = {}
export const inWords = (dtype: Job['dtype'], threads: number) =>
  `${dtype}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`

/** Records the load at the start, and returns a function that adds the cell at the end. */
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

/** Shows three significant digits, or more if they are before the decimal point. */
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

/** The results of one kind of processor: the newest of each cell. */
export interface Results {
  machine: Record<string, unknown>
  limits: Record<string, number>
  cells: (Cell & { date: string; commit: string; rounds: number })[]
}

/**
 * Adds the results so far to today's file of this kind of processor, `results/<processor>-<date>.json`. Replaces cells
 * that were measured before.
 */
export function save(options: { rounds: number; threads: number }): void {
  if (cells.length === 0) return
  const { kernels } = runtimeInfo()
  const cpu = cpus()[0]?.model ?? 'unknown processor'
  const machine = {
    cpu,
    kernels,
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    node: process.version,
    libtorch: LIBTORCH_VERSION,
    threads: options.threads,
    omp: Object.fromEntries(
      Object.entries(process.env).filter(([name]) => /^(G?OMP|KMP|MALLOC)_/.test(name)),
    ),
    hugePages: readFileSync('/sys/kernel/mm/transparent_hugepage/enabled', 'utf8').trim(),
  }
  const date = new Date().toISOString()
  // "4f956e5", or "4f956e5-dirty" if the tree had uncommitted changes.
  const commit = execFileSync('git', ['describe', '--always', '--dirty', '--exclude=*'], {
    encoding: 'utf8',
  }).trim()
  const measured = cells.map(cell => ({ date, commit, rounds: options.rounds, ...cell }))

  const name = `${cpu} ${kernels}`.toLowerCase().replace(/\([^)]*\)|[^a-z0-9_]+/g, '-')
  const path = join(resultsFolder, `${name}-${date.slice(0, 10)}.json`.replace(/-{2,}/g, '-'))
  const before: Partial<Results> = existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {}
  const works = new Set(measured.map(({ work }) => work))
  const results: Results = {
    machine,
    limits: { ...before.limits, ...limits },
    cells: [...(before.cells ?? []).filter(({ work }) => !works.has(work)), ...measured],
  }
  mkdirSync(resultsFolder, { recursive: true })
  writeFileSync(path, `${stringify(results)}\n`)
  note(`wrote ${path}`)
}

/** Formats JSON with four digits per number, and the times of a peer on one line. */
function stringify(results: Results): string {
  const rounded = (_: string, value: unknown) =>
    typeof value === 'number' && !Number.isInteger(value) ? Number(value.toPrecision(4)) : value
  return JSON.stringify(results, rounded, 1).replace(/\[[^[\]{}"]+\]/g, numbers =>
    numbers.replace(/\s+/g, ' ').replace('[ ', '[').replace(' ]', ']'),
  )
}
