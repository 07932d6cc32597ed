// Draws docs/performance-growth.svg from the newest results of the work `growth`: npm run bench:plot
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { type Chart, color, draw, onPaper, themes } from '../lib/report/chart.js'
import type { Job } from './job.js'
import { type Cell, inWords, resultsFolder } from './result.js'
import { sizes, sizesBatch } from './works/growth.js'

interface Point {
  network: string
  batch: number
  size: number
  series: string
  value: number
}

const points = newestGrowth().map(toPoint)
const series = [...new Set(points.map(point => point.series))]
const networks = [...new Set(points.map(point => point.network))]
const panels: Chart[][] = [[], []]
for (const network of networks) {
  const own = points.filter(point => point.network === network)
  const bySize = own.filter(({ batch }) => batch === sizesBatch)
  panels[0]!.push(await panel(`${network}, 224 x 224`, 'images a batch', 'batch', own.filter(isSmall)))
  panels[1]!.push(await panel(`${network}, batches of ${sizesBatch}`, 'image side, pixels', 'size', bySize))
}
const path = join(import.meta.dirname, '../docs/performance-growth.svg')
writeFileSync(path, onPaper({ title: '', ...grid(panels) }))
note(`wrote ${path}`)

function newestGrowth(): Cell[] {
  const date = (file: string) => /\d{4}-\d\d-\d\d\.json$/.exec(file)?.[0] ?? ''
  const newestFirst = readdirSync(resultsFolder).sort((a, b) => date(b).localeCompare(date(a)))
  for (const file of newestFirst) {
    const { cells } = JSON.parse(readFileSync(join(resultsFolder, file), 'utf8')) as { cells: Cell[] }
    const growth = cells.filter(({ work }) => work.startsWith('growth '))
    if (growth.length > 0) return growth
  }
  throw new Error('there are no results of growth: run npm run bench -- growth')
}

function toPoint({ job, peers }: Cell): Point {
  const { network, batch, size, threads, dtype } = job as Job
  return {
    network,
    batch,
    size,
    series: inWords(dtype, threads),
    value: peers.visiontorch!.figures['images/s']!,
  }
}

function isSmall({ size }: Point): boolean {
  return size === 224
}

function panel(title: string, axis: string, field: 'batch' | 'size', values: Point[]): Promise<Chart> {
  const x = { scale: 'x', field }
  const y = { scale: 'y', field: 'value' }
  const stroke = { scale: 'color', field: 'series' }
  return draw({
    title,
    width: 300,
    height: 320,
    data: [{ name: 'points', values }],
    scales: [
      field === 'batch'
        ? { name: 'x', type: 'log', base: 2, range: 'width', domain: [1, 64], padding: 8 }
        : { name: 'x', type: 'linear', range: 'width', domain: [224, 512], zero: false, padding: 8 },
      { name: 'y', type: 'linear', range: 'height', domain: { data: 'points', field: 'value' }, nice: 5 },
      { name: 'color', type: 'ordinal', range: [...color.series, color.muted], domain: series },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', title: axis, format: 'd', ...(field === 'size' && { values: sizes }) },
      {
        orient: 'left',
        scale: 'y',
        title: 'images/s',
        grid: true,
        domain: false,
        ticks: false,
        tickCount: 5,
      },
    ],
    legends: [{ stroke: 'color', orient: 'top', symbolType: 'stroke' }],
    marks: [
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'series' } },
        marks: [
          {
            type: 'line',
            from: { data: 'line' },
            encode: { enter: { x, y, stroke, strokeWidth: { value: 2 } } },
          },
          {
            type: 'symbol',
            from: { data: 'line' },
            encode: { enter: { x, y, fill: stroke, size: { value: 22 } } },
          },
        ],
      },
    ],
  })
}

/** Combines all panels in one drawing, on white. */
function grid(rows: Chart[][]): Pick<Chart, 'svg' | 'width' | 'height'> {
  const width = Math.max(...rows.map(row => row.reduce((sum, chart) => sum + chart.width, 0)))
  const height = rows.reduce((sum, row) => sum + row[0]!.height, 0)
  const cells = rows.flatMap((row, down) =>
    row.map(
      (chart, across) =>
        `<g transform="translate(${across * chart.width} ${down * chart.height})">${chart.svg}</g>`,
    ),
  )
  const paper = `<rect width="100%" height="100%" fill="${themes.light['on-series']}"/>`
  const size = `width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`
  return {
    svg: `<svg xmlns="http://www.w3.org/2000/svg" ${size}>${paper}${cells.join('')}</svg>\n`,
    width,
    height,
  }
}
