import type { Mark } from 'vega'
import type { Evaluation } from '../metrics.js'
import { type Chart, color, draw, font } from './chart.js'

/** The confusion matrix: rows are true classes, and a cell's shade is its share of the row. */
export async function drawConfusion(evaluation: Evaluation): Promise<Chart> {
  const labels = evaluation.classes.map(({ label }) => label)
  const count = labels.length
  const cell = Math.max(3, Math.min(56, Math.floor(620 / count)))
  const size = cell * count
  // A label needs about 12 pixels: with smaller cells only every nth class is named.
  const every = Math.ceil(12 / cell)
  const indices = labels.map((_, index) => index)
  const named = indices.filter(index => index % every === 0)
  const cells = evaluation.confusions.map(({ actual, predicted, count }) => {
    const { support } = evaluation.classes[actual]!
    return {
      actual,
      predicted,
      value: count,
      share: count / support,
      text: `${labels[actual]} predicted as ${labels[predicted]}: ${count} of ${support}`,
    }
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
        font: { value: font },
        fontSize: { value: cell >= 40 ? 14 : 10 },
        fill: [{ test: 'datum.share > 0.7', value: color.onSeries }, { value: color.ink }],
      },
    },
  }
  return draw({
    title: 'Confusion matrix',
    subtitle: 'rows: true class, columns: predicted',
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
            fill: { value: color.series[0] },
            fillOpacity: { signal: '0.12 + 0.88 * datum.share' },
            description: { field: 'text' },
          },
        },
      },
      ...(cell >= 20 ? [counts] : []),
    ],
  })
}
