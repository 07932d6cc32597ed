import type { Evaluation } from '../evaluate/metrics.js'
import { printable } from '../util/text.js'
import { type Chart, color, draw } from './chart.js'
import { shortLabels } from './labels.js'

/** The largest number of classes in the drawing. If there are more, it shows those with the lowest F1. */
const MOST_CLASSES = 40
const ROW = 30 // pixels
const LONGEST_LABEL = 26

/** Draws precision and recall of each class as bars, the worst class first. */
export function drawClasses({ classes }: Evaluation): Promise<Chart> {
  const shown = classes.toSorted((a, b) => a.f1 - b.f1).slice(0, MOST_CLASSES)
  const labels = shortLabels(
    shown.map(({ label }) => printable(label)),
    LONGEST_LABEL,
  )
  const bars = shown.flatMap(({ precision, recall }, place) => [
    { place, measure: 'precision', value: precision },
    { place, measure: 'recall', value: recall },
  ])
  const measures = ['precision', 'recall']
  const of = `the ${shown.length} lowest of ${classes.length.toLocaleString('en-US')} classes; classes.csv has all`
  return draw({
    title: 'Precision and recall',
    subtitle: shown.length === classes.length ? 'of each class, the lowest F1 first' : of,
    width: 520,
    height: ROW * shown.length,
    fit: false,
    signals: [{ name: 'labels', value: labels }],
    data: [{ name: 'bars', values: bars }],
    scales: [
      { name: 'x', type: 'linear', range: 'width', domain: [0, 1] },
      { name: 'y', type: 'band', range: 'height', domain: shown.map((_, place) => place), padding: 0.2 },
      { name: 'color', type: 'ordinal', domain: measures, range: color.series.slice(0, 2) },
    ],
    axes: [
      { orient: 'bottom', scale: 'x', format: '.0%', grid: true, tickCount: 5 },
      {
        orient: 'left',
        scale: 'y',
        ticks: false,
        labelLimit: 0,
        encode: { labels: { update: { text: { signal: 'labels[datum.value]' } } } },
      },
    ],
    legends: [{ fill: 'color', orient: 'bottom', direction: 'horizontal' }],
    marks: [
      {
        type: 'rect',
        from: { data: 'bars' },
        encode: {
          enter: {
            x: { scale: 'x', value: 0 },
            x2: { scale: 'x', field: 'value' },
            y: {
              scale: 'y',
              field: 'place',
              offset: { signal: `datum.measure === 'recall' ? bandwidth('y') / 2 : 0` },
            },
            height: { scale: 'y', band: 0.5 },
            fill: { scale: 'color', field: 'measure' },
          },
        },
      },
    ],
  })
}
