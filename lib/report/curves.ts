import type { Mark } from 'vega'
import type { EpochMetrics } from '../train/events.js'
import { formatNumber, formatShare } from '../util/format.js'
import { type Chart, color, draw, font } from './chart.js'

interface Curve {
  title: string
  /** The d3-format pattern for values, on the axis and in the labels. */
  format: string
  series: { label: string; value: (row: EpochMetrics) => number }[]
  /** Whether the values are shares: the axis then ends at 100%, and begins at a multiple of 10% instead of at 0. */
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

/**
 * Draws loss, accuracy (also top-5 if that is meaningful), learning rate and throughput by epoch. Returns none if
 * there are no epochs.
 */
export async function drawCurves(
  history: readonly EpochMetrics[],
  best: EpochMetrics | null,
  top5: boolean,
): Promise<Chart[]> {
  if (history.length === 0) return []
  const shown = curves.map(curve => ({
    ...curve,
    series: curve.series.filter(({ label }) => top5 || !label.endsWith('top 5')),
  }))
  return Promise.all(shown.map(curve => drawCurve(curve, history, best)))
}

async function drawCurve(
  curve: Curve,
  history: readonly EpochMetrics[],
  best: EpochMetrics | null,
): Promise<Chart> {
  const text = (value: number) => (curve.share ? formatShare(value) : formatNumber(value))
  const points = curve.series.flatMap(({ label, value }) =>
    history
      .map(row => ({ epoch: Number(row.epoch), series: label, value: Number(value(row)) }))
      .filter(point => Number.isFinite(point.value)),
  )
  const labels = history.map(row => ({
    epoch: Number(row.epoch),
    text: `Epoch ${Number(row.epoch)}: ${curve.series.map(({ label, value }) => `${label} ${text(value(row))}`).join(', ')}`,
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
        range: [...color.series],
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
            stroke: { value: color.muted },
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
            font: { value: font },
            fontSize: { value: 11 },
            fill: { value: color.muted },
          },
        },
      },
      {
        type: 'group',
        from: { facet: { name: 'line', data: 'points', groupby: 'series' } },
        marks: [lineOf(history.length)],
      },
      {
        type: 'rect', // invisible, for the pointer and for screen readers
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
