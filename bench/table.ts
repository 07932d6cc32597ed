// Writes the tables of docs/benchmarks.md from bench/results, one per kind of processor: npm run bench:table
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { type Cell, format, type Results, resultsFolder } from './result.js'

/** The columns, and the peers, the fastest of which they show. Other peers of a cell are left out. */
const columns: Record<string, string[]> = {
  PyTorch: ['stock'],
  tuned: ['tuned', '2 workers', 'mmap'],
  compiled: ['compile'],
  'ONNX Runtime': ['onnxruntime', 'onnxruntime static'],
  OpenVINO: ['openvino', 'openvino static'],
  'own float32': ['in float32'],
}
/** The names of the works in the documentation, in its order. Other works are left out. */
const works: [RegExp, string][] = [
  [/^inference (.+)/, '$1'],
  [/^training (.+)/, 'training step, $1'],
  [/^(distributed step) (.+)/, '$1, $2'],
  [/^(exchange of gradients, .+)/, '$1'],
  [/^(first|second) epoch of ([^,]+), batch (\d+), [^,]+, (.+)/, '$1 epoch of $4, $2, batch $3'],
  [/^(start to first prediction.+)/, '$1'],
  [/^(loading .+ and a first prediction)/, '$1'],
  [/^(decode \+ evaluation, .+), processor time of an image/, '$1'],
]

const markers = /(?<=<!-- results: npm run bench:table -->\n).*?(?=<!-- end of results -->)/s
const path = join(import.meta.dirname, '../docs/benchmarks.md')
const tables = readdirSync(resultsFolder).toSorted().map(tablesOf)
writeFileSync(
  path,
  readFileSync(path, 'utf8').replace(markers, () => `\n${tables.join('\n\n')}\n\n`),
)
note(`wrote ${path}`)

function tablesOf(file: string): string {
  const { machine, cells } = JSON.parse(readFileSync(join(resultsFolder, file), 'utf8')) as Results
  const rows = works.flatMap(([pattern, title]) =>
    cells
      .filter(({ work }) => pattern.test(work))
      .map(cell => ({ ...cell, title: cell.work.replace(pattern, title) }))
      .sort((a, b) => a.title.localeCompare(b.title, 'en', { numeric: true })),
  )
  const ratio = (cell: Cell, names: readonly string[]) => {
    const times = names.flatMap(name => cell.peers[name]?.time.median ?? [])
    if (times.length === 0) return undefined
    return (Math.min(...times) / cell.peers.visiontorch!.time.median).toFixed(2)
  }
  const shown = Object.entries(columns).filter(([, names]) => rows.some(cell => ratio(cell, names)))
  const lines = rows.map(cell => [
    cell.title,
    format(cell.peers.visiontorch!.time.median),
    ...shown.map(([, names]) => ratio(cell, names) ?? '-'),
  ])
  const dates = cells.map(({ date }) => date.slice(0, 10)).toSorted()
  const commits = [...new Set(cells.map(({ commit }) => commit))].join(', ')
  return [
    `### ${machine.cpu}, ${machine.kernels} kernels, ${machine.threads} threads`,
    '',
    `Measured from ${dates[0]} to ${dates.at(-1)} at commits ${commits} (record: bench/results/${file}).`,
    '',
    row(['', 'visiontorch, ms', ...shown.map(([title]) => title)]),
    row(['---', '---:', ...shown.map(() => '---:')]),
    ...lines.map(row),
  ].join('\n')
}

function row(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`
}
