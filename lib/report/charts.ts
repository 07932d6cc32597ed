import type { Mark, Spec } from 'vega'
import { formatNumber, formatShare } from '../format.js'
import type { Evaluation } from '../metrics.js'
import type { EpochMetrics } from '../train/events.js'

// The charts of a run, drawn by Vega as SVG. Colours are names of a palette: CSS variables inside report.html, so that
// one drawing serves light and dark, and plain colours in the PNG files.

export interface Palette {
  ink: string
  muted: string
  grid: string
  /** The colour of a chart's first, second and third series; the first also shades the confusion matrix. */
  series: readonly [string, string, string]
  /** Text on a dark cell of the matrix. */
  onSeries: string
  font: string
}

export const cssPalette: Palette = {
  ink: 'var(--ink)',
  muted: 'var(--muted)',
  grid: 'var(--grid)',
  series: ['var(--series-1)', 'var(--series-2)', 'var(--series-3)'],
  onSeries: 'var(--on-series)',
  font: 'inherit',
}

export const paperPalette: Palette = {
  ink: '#1b1f24',
  muted: '#59636e',
  grid: '#e4e7eb',
  series: ['#2f6bd8', '#d9600b', '#2b8a5c'],
  onSeries: '#ffffff',
  font: 'Inter, Helvetica, Arial, DejaVu Sans, sans-serif',
}

/** One drawing: an SVG element as text, and its size in pixels. */
export interface Chart {
  title: string
  svg: string
  width: number
  height: number
}

interface Curve {
  title: string
  /** What d3-format makes of a value, on the axis and in the labels. */
  format: string
  series: { label: string; value: (row: EpochMetrics) => number }[]
  /** The axis: from 0 to the largest value, or to all of 100 %. */
  share?: boolean
}

const curves: Curve[] = [
  {
    title: 'Loss',
    format: '.3~g',
    series: [
      { label: 'training', value: row => row.trainLoss },
      { label: 'validation', value: row => row.validationLoss },
    ],
  },
  {
    title: 'Accuracy',
    format: '.1~%',
    share: true,
    series: [
      { label: 'training', value: row => row.trainTop1 },
      { label: 'validation', value: row => row.top1 },
      { label: 'validation, top 5', value: row => row.top5 },
    ],
  },
  {
    title: 'Learning rate',
    format: '.3~g',
    series: [{ label: 'at the end of the epoch', value: row => row.learningRate }],
  },
  {
    title: 'Throughput',
    format: ',.3~r',
    series: [{ label: 'training images per second', value: row => row.imagesPerSecond }],
  },
]

/** Loss, accuracy, learning rate and throughput by epoch; none without epochs. */
export function drawCurves(
  history: readonly EpochMetrics[],
  best: EpochMetrics | null,
  palette: Palette,
): Promise<Chart[]> {
  if (history.length === 0) return Promise.resolve([])
  return Promise.all(curves.map(curve => drawCurve(curve, history, best, palette)))
}

async function drawCurve(
  curve: Curve,
  history: readonly EpochMetrics[],
  best: EpochMetrics | null,
  palette: Palette,
): Promise<Chart> {
  const text = (value: number) => (curve.share ? formatShare(value) : formatNumber(value))
  const points = curve.series.flatMap(({ label, value }) =>
    history
      .map(row => ({ epoch: row.epoch, series: label, value: value(row) }))
      .filter(point => Number.isFinite(point.value)),
  )
  const labels = history.map(row => ({
    epoch: row.epoch,
    text: `Epoch ${row.epoch}: ${curve.series.map(({ label, value }) => `${label} ${text(value(row))}`).join(', ')}`,
  }))
  const values = points.map(point => point.value)
  const lowest = Math.min(1, ...values)
  const domain = curve.share ? [Math.floor(lowest * 10) / 10, 1] : [0, Math.max(...values, 1e-12)]
  const middle = (history[0]!.epoch + history.at(-1)!.epoch) / 2
  const isSeveral = curve.series.length > 1
  return draw({
    title: curve.title,
    width: 420,
    height: 270,
    palette,
    data: [
      { name: 'points', values: points },
      { name: 'epochs', values: labels },
      {
        name: 'best',
        values: best && isSeveral ? [{ epoch: best.epoch, isEarly: best.epoch < middle }] : [],
      },
    ],
    scales: [
      {
        name: 'x',
        type: 'linear',
        range: 'width',
        domain: [history[0]!.epoch - 0.5, history.at(-1)!.epoch + 0.5],
        zero: false,
      },
      { name: 'y', type: 'linear', range: 'height', domain, nice: 5, zero: false },
      {
        name: 'color',
        type: 'ordinal',
        range: [...palette.series],
        domain: curve.series.map(({ label }) => label),
      },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', title: 'epoch', tickMinStep: 1, tickCount: 8, format: 'd' },
      {
        orient: 'left',
        scale: 'y',
        grid: true,
        domain: false,
        ticks: false,
        tickCount: 5,
        format: curve.format,
      },
    ],
    legends: isSeveral
      ? [{ stroke: 'color', orient: 'top', direction: 'horizontal', symbolType: 'stroke' }]
      : [],
    marks: [
      {
        type: 'rule',
        aria: false,
        from: { data: 'best' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'epoch' },
            y: { value: 0 },
            y2: { field: { group: 'height' } },
            stroke: { value: palette.muted },
            strokeDash: { value: [3, 3] },
          },
        },
      },
      {
        type: 'text',
        aria: false,
        from: { data: 'best' },
        encode: {
          enter: {
            x: { scale: 'x', field: 'epoch', offset: { signal: 'datum.isEarly ? 4 : -4' } },
            y: curve.share ? { field: { group: 'height' }, offset: -5 } : { value: 11 },
            align: { signal: "datum.isEarly ? 'left' : 'right'" },
            text: { value: 'best' },
            font: { value: palette.font },
            fontSize: { value: 11 },
            fill: { value: palette.muted },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'series' } },
        marks: [lineOf(history.length)],
      },
      {
        type: 'rect', // invisible: what the pointer meets and the screen reader reads
        from: { data: 'epochs' },
        encode: {
          enter: {
            x: { scale: 'x', signal: 'datum.epoch - 0.5' },
            x2: { scale: 'x', signal: 'datum.epoch + 0.5' },
            y: { value: 0 },
            y2: { field: { group: 'height' } },
            fill: { value: 'transparent' },
            description: { field: 'text' },
          },
        },
      },
    ],
  })
}

function lineOf(epochs: number): Mark {
  const place = { x: { scale: 'x', field: 'epoch' }, y: { scale: 'y', field: 'value' } }
  const stroke = { scale: 'color', field: 'series' }
  const line: Mark = {
    type: 'line',
    aria: false,
    from: { data: 'line' },
    encode: { enter: { ...place, stroke, strokeWidth: { value: 2 }, strokeJoin: { value: 'round' } } },
  }
  if (epochs > 30) return line
  const dots: Mark = {
    type: 'symbol',
    aria: false,
    from: { data: 'line' },
    encode: { enter: { ...place, fill: stroke, size: { value: 22 } } },
  }
  return { type: 'group', marks: [line, dots] }
}

/** The confusion matrix: rows are true classes, and a cell's shade is its share of the row. */
export async function drawConfusion(evaluation: Evaluation, palette: Palette): Promise<Chart> {
  const labels = evaluation.classes.map(({ label }) => label)
  const count = labels.length
  const cell = Math.max(3, Math.min(56, Math.floor(620 / count)))
  const size = cell * count
  // A label needs about 12 pixels: with smaller cells only every nth class is named.
  const every = Math.ceil(12 / cell)
  const indices = labels.map((_, index) => index)
  const named = indices.filter(index => index % every === 0)
  const cells = evaluation.confusion.flatMap((row, actual) => {
    const support = row.reduce((sum, value) => sum + value, 0)
    return row.flatMap((value, predicted) =>
      value === 0
        ? []
        : [
            {
              actual,
              predicted,
              value,
              share: value / support,
              text: `${labels[actual]} predicted as ${labels[predicted]}: ${value} of ${support}`,
            },
          ],
    )
  })
  const rectangle = {
    x: { scale: 'x', field: 'predicted' },
    y: { scale: 'y', field: 'actual' },
    width: { scale: 'x', band: 1 },
    height: { scale: 'y', band: 1 },
  }
  const padding = cell >= 12 ? 0.06 : 0
  const axis = {
    values: named,
    encode: { labels: { update: { text: { signal: 'labels[datum.value]' } } } },
    ticks: false,
    domain: false,
    labelLimit: 180,
    labelFontSize: cell >= 12 ? 12 : 10,
  }
  // Only every label's own width would tell; Vega, without a canvas, can but guess it.
  const turned = cell < 40 || labels.some(label => label.length > 6)
  const counts: Mark = {
    type: 'text',
    aria: false,
    from: { data: 'cells' },
    encode: {
      enter: {
        x: { scale: 'x', field: 'predicted', band: 0.5 },
        y: { scale: 'y', field: 'actual', band: 0.5 },
        align: { value: 'center' },
        baseline: { value: 'middle' },
        text: { field: 'value' },
        font: { value: palette.font },
        fontSize: { value: cell >= 40 ? 14 : 10 },
        fill: [{ test: 'datum.share > 0.7', value: palette.onSeries }, { value: palette.ink }],
      },
    },
  }
  return draw({
    title: 'Confusion matrix',
    subtitle: 'rows: true class, columns: predicted',
    width: size,
    height: size,
    fit: false,
    palette,
    signals: [{ name: 'labels', value: labels }],
    data: [{ name: 'cells', values: cells }],
    scales: [
      { name: 'x', type: 'band', range: 'width', domain: indices, paddingInner: padding },
      { name: 'y', type: 'band', range: 'height', domain: indices, paddingInner: padding },
    ],
    axes: [
      {
        ...axis,
        orient: 'bottom',
        scale: 'x',
        labelAngle: turned ? -60 : 0,
        labelAlign: turned ? 'right' : 'center',
        labelBaseline: turned ? 'middle' : 'top',
      },
      { ...axis, orient: 'left', scale: 'y' },
    ],
    marks: [
      {
        type: 'rect',
        aria: false,
        encode: {
          enter: {
            width: { value: size },
            height: { value: size },
            fill: { value: palette.series[0] },
            fillOpacity: { value: 0.05 },
          },
        },
      },
      {
        type: 'rect',
        from: { data: 'cells' },
        encode: {
          enter: {
            ...rectangle,
            fill: { value: palette.series[0] },
            fillOpacity: { signal: '0.12 + 0.88 * datum.share' },
            description: { field: 'text' },
          },
        },
      },
      ...(cell >= 20 ? [counts] : []),
    ],
  })
}

type Drawing = Pick<Spec, 'data' | 'scales' | 'axes' | 'legends' | 'marks' | 'signals'> & {
  title: string
  subtitle?: string
  width: number
  height: number
  palette: Palette
  /** Whether width and height are the whole drawing's, with its axes (the default), or the plot's. */
  fit?: boolean
}

async function draw({
  title,
  subtitle = '',
  width,
  height,
  palette,
  fit = true,
  ...parts
}: Drawing): Promise<Chart> {
  const { View, parse } = await import('vega')
  const text = { font: palette.font, fill: palette.ink }
  const spec: Spec = {
    ...parts,
    width,
    height,
    padding: 8,
    autosize: fit ? { type: 'fit', contains: 'padding' } : { type: 'pad' },
    title: { text: title, subtitle, anchor: 'start', frame: 'bounds', offset: 10 },
    config: {
      title: {
        font: palette.font,
        color: palette.ink,
        fontSize: 15,
        fontWeight: 600,
        subtitleFont: palette.font,
        subtitleColor: palette.muted,
        subtitlePadding: 5,
      },
      style: { cell: { stroke: 'transparent' }, 'guide-label': text, 'guide-title': text },
      axis: {
        labelFont: palette.font,
        titleFont: palette.font,
        labelColor: palette.muted,
        titleColor: palette.muted,
        titleFontWeight: 'normal',
        titlePadding: 8,
        labelFontSize: 11,
        titleFontSize: 12,
        gridColor: palette.grid,
        domainColor: palette.grid,
        tickColor: palette.grid,
      },
      legend: {
        labelFont: palette.font,
        labelColor: palette.muted,
        labelFontSize: 12,
        labelLimit: 240,
        symbolStrokeWidth: 2.5,
        columnPadding: 8,
        offset: 6,
      },
    },
  }
  const view = new View(parse(spec), { renderer: 'none' })
  const svg = await view.toSVG()
  view.finalize()
  const [, drawnWidth, drawnHeight] = /viewBox="0 0 ([\d.]+) ([\d.]+)"/.exec(svg) ?? [null, width, height]
  return { title, svg, width: Number(drawnWidth), height: Number(drawnHeight) }
}
