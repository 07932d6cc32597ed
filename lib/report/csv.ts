import type { Evaluation } from '../evaluate/metrics.js'

// Tables for spreadsheets, by RFC 4180.

/** A row a class, in the order of the network's outputs. */
export function classesCsv({ classes }: Evaluation): string {
  const header = ['class', 'precision', 'recall', 'f1', 'support']
  return csv([header, ...classes.map(row => [row.label, row.precision, row.recall, row.f1, row.support])])
}

/** A row a true class, and a column a predicted class: how many images. */
export function matrixCsv({ classes, confusion }: Evaluation): string {
  const names = classes.map(({ label }) => label)
  return csv([
    ['true class', ...names],
    ...confusion.map((counts, index): (string | number)[] => [names[index]!, ...counts]),
  ])
}

/** A row a cell of the confusion matrix that is not zero. */
export function confusionsCsv({ classes, confusions }: Evaluation): string {
  const cells = confusions.map(cell => [
    classes[cell.actual]!.label,
    classes[cell.predicted]!.label,
    cell.count,
  ])
  return csv([['true class', 'predicted', 'images'], ...cells])
}

/** Rows of cells. */
export function csv(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map(row => `${row.map(cellOf).join(',')}\n`).join('')
}

/** A spreadsheet would run a name that begins like a formula: an apostrophe in front makes it text. */
function cellOf(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
