import type { Mark } from 'vega'
import type { Evaluation } from '../evaluate/metrics.js'
import { printable } from '../util/text.js'
import { type Chart, color, draw, font } from './chart.js'
import { shortLabels } from './labels.js'

/** The largest number of classes in the drawing. If there are more, it shows the most confused ones. */
export const MOST_MATRIX = 40

/**
 * Draws the confusion matrix. Rows are true classes, and the shade of a cell is its share of the row. Cells off the
 * diagonal, the mistakes, have a different colour.
 */
export async function drawConfusion(evaluation: Evaluation): Promise<Chart> {
  const { classes, confusions } = evaluation
  const shown =
    classes.length <= MOST_MATRIX ? classes.map((_, index) => index) : mostConfused(evaluation, MOST_MATRIX)
  const place = new Map(shown.map((index, at) => [index, at]))
  const labels = shortLabels(
    shown.map(index => printable(classes[index]!.label)),
    LONGEST_LABEL,
  )
  const count = labels.length
  const cell = Math.max(15, Math.min(56, Math.floor(620 / count)))
  const size = cell * count
  const indices = labels.map((_, index) => index)
  const cells = confusions.flatMap(({ actual, predicted, count }) => {
    const [row, column] = [place.get(actual), place.get(predicted)]
    if (row === undefined || column === undefined) return []
    const { label, support } = classes[actual]!
    const text = `${label} predicted as ${classes[predicted]!.label}: ${count} of ${support}`
    return [
      { actual: row, predicted: column, value: count, share: count / support, text: printable(text, 400) },
    ]
  })
  const rectangle = {
    x: { scale: 'x', field: 'predicted' },
    y: { scale: 'y', field: 'actual' },
    width: { scale: 'x', band: 1 },
    height: { scale: 'y', band: 1 },
  }
  const padding = 0.06
  const axis = {
    encode: { labels: { update: { text: { signal: 'labels[datum.value]' } } } },
    ticks: false,
    domain: false,
    labelLimit: 0,
    labelFontSize: cell >= 20 ? 12 : 11,
  }
  // Without a canvas, Vega can only guess how wide a label is.
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
        font: { value: font },
        fontSize: { value: cell >= 40 ? 14 : 10 },
        fill: [{ test: 'datum.share > 0.6', value: color.onSeries }, { value: color.ink }],
      },
    },
  }
  return draw({
    title: 'Confusion matrix',
    subtitle:
      count === classes.length
        ? 'rows: true class, columns: predicted'
        : `the ${count} most confused of ${classes.length.toLocaleString('en-US')} classes; rows: true class, columns: predicted; confusions.csv has all cells`,
    width: size,
    height: size,
    fit: false,
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
            fill: { value: color.series[0] },
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
            fill: {
              signal: `datum.actual === datum.predicted ? '${color.series[0]}' : '${color.series[1]}'`,
            },
            fillOpacity: {
              signal:
                'datum.actual === datum.predicted ? 0.12 + 0.88 * datum.share : 0.3 + 0.7 * datum.share',
            },
            description: { field: 'text' },
          },
        },
      },
      ...(cell >= 18 ? [counts] : []),
    ],
  })
}

/** The length of labels, in columns of text: with 40 classes, they take about as much room as the cells. */
const LONGEST_LABEL = 26

/** The classes of the cells off the diagonal with the most images, in the order of the classes. */
function mostConfused({ classes, confusions }: Evaluation, most: number): number[] {
  const chosen = new Set<number>()
  const mistakes = confusions
    .filter(({ actual, predicted }) => actual !== predicted)
    .sort((a, b) => b.count - a.count || a.actual - b.actual || a.predicted - b.predicted)
  for (const { actual, predicted } of mistakes) {
    for (const index of [actual, predicted]) if (chosen.size < most) chosen.add(index)
    if (chosen.size === most) break
  }
  for (let index = 0; chosen.size < Math.min(most, classes.length); index++) chosen.add(index)
  return [...chosen].sort((a, b) => a - b)
}
