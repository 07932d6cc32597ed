import type { Evaluation } from '../evaluate/metrics.js'

// Tables for spreadsheets, in the format of RFC 4180.

/** One row for each class, in the order of the network's outputs. */
export function classesCsv({ classes }: Evaluation): string {
  const header = ['class', 'precision', 'recall', 'f1', 'support']
  return csv([header, ...classes.map(row => [row.label, row.precision, row.recall, row.f1, row.support])])
}

/** The number of images, with one row for each true class and one column for each predicted class. */
export function matrixCsv({ classes, confusion }: Evaluation): string {
  const names = classes.map(({ label }) => label)
  return csv([
    ['true class', ...names],
    ...confusion.map((counts, index): (string | number)[] => [names[index]!, ...counts]),
  ])
}

/** One row for each cell of the confusion matrix that is not zero. */
export function confusionsCsv({ classes, confusions }: Evaluation): string {
  const cells = confusions.map(cell => [
    classes[cell.actual]!.label,
    classes[cell.predicted]!.label,
    cell.count,
  ])
  return csv([['true class', 'predicted', 'images'], ...cells])
}

/** Formats rows of cells. */
export function csv(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map(row => `${row.map(cellOf).join(',')}\n`).join('')
}

/** A spreadsheet would evaluate a name that begins like a formula; an apostrophe in front makes it text. */
function cellOf(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
