import { relative } from 'node:path'
import type { DatasetReport } from '../doctor/dataset.js'
import type { Severity } from '../doctor/finding.js'
import { printable } from '../util/text.js'
import { color, formatCount, print, table } from './terminal.js'

/** How many places of a finding are shown; `--json` prints them all. */
const SHOWN = 10
/** The largest number of classes in the table. If there are more, it shows the smallest ones. */
const MOST_CLASSES = 50

/** Prints what was found in a data set: its classes, then each kind of finding with its places. */
export function printDatasetReport({ root, classes, splits, findings, ok }: DatasetReport): void {
  if (splits.length > 0) print(classTable(classes, splits))
  for (const { severity, title, remedy, places } of findings) {
    print(`\n${colors[severity](severity)}  ${color.bold(title)}: ${formatCount(places.length)}`)
    for (const { path, detail } of places.slice(0, SHOWN)) {
      const where = path === root ? '' : relative(root, path)
      print(
        `  ${[printable(where), printable(detail.replaceAll(`${root}/`, ''), 300)].filter(text => text !== '').join('  ')}`,
      )
    }
    if (places.length > SHOWN)
      print(`  and ${formatCount(places.length - SHOWN)} more (--json lists them all)`)
    if (remedy !== '') print(color.dim(`  ${remedy}`))
  }
  print(
    ok
      ? `\n${color.green('Training can use this data set.')}`
      : `${color.red('Correct the errors before training.')}`,
  )
}

function classTable(classes: readonly string[], splits: DatasetReport['splits']): string {
  const counts = splits.map(split => new Map(split.classes.map(({ label, images }) => [label, images])))
  const labels = [...new Set([...classes, ...counts.flatMap(ofSplit => [...ofSplit.keys()])])]
  const fewest = (label: string): number => Math.min(...counts.map(ofSplit => ofSplit.get(label) ?? 0))
  const shown =
    labels.length <= MOST_CLASSES
      ? labels
      : labels.toSorted((a, b) => fewest(a) - fewest(b)).slice(0, MOST_CLASSES)
  const rows = shown.map(label => [
    printable(label, 60),
    ...counts.map(ofSplit => formatCount(ofSplit.get(label) ?? 0)),
  ])
  rows.push([color.dim('all'), ...splits.map(({ images }) => formatCount(images))])
  const lines = table(['class', ...splits.map(({ name }) => name)], rows, `l${'r'.repeat(splits.length)}`)
  return shown.length === labels.length
    ? lines
    : `${lines}\n(the ${MOST_CLASSES} smallest of ${formatCount(labels.length)} classes; --json lists them all)`
}

const colors: Record<Severity, (text: string) => string> = {
  error: color.red,
  warning: color.yellow,
  info: color.cyan,
}
