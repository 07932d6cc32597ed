import { relative } from 'node:path'
import type { DatasetReport } from '../doctor/dataset.js'
import type { Severity } from '../doctor/finding.js'
import { color, formatCount, print, table } from './terminal.js'

/** How many places of a finding are shown; `--json` has them all. */
const SHOWN = 10

/** Prints what was found in a data set: its classes, then each kind of finding with its places. */
export function printDatasetReport({ root, classes, splits, findings, ok }: DatasetReport): void {
  if (splits.length > 0) print(classTable(classes, splits))
  for (const { severity, title, remedy, places } of findings) {
    print(`\n${colors[severity](severity)}  ${color.bold(title)}: ${formatCount(places.length)}`)
    for (const { path, detail } of places.slice(0, SHOWN)) {
      const where = path === root ? '' : relative(root, path)
      print(`  ${[where, short(detail.replaceAll(`${root}/`, ''))].filter(text => text !== '').join('  ')}`)
    }
    if (places.length > SHOWN)
      print(`  and ${formatCount(places.length - SHOWN)} more (--json lists them all)`)
    if (remedy !== '') print(color.dim(`  ${remedy}`))
  }
  print(
    ok
      ? `\n${color.green('Training can use this data set.')}`
      : `${color.red('Mend the errors before training.')}`,
  )
}

/** An image with very many copies must not fill the screen. */
const short = (detail: string): string => (detail.length > 300 ? `${detail.slice(0, 299)}…` : detail)

function classTable(classes: readonly string[], splits: DatasetReport['splits']): string {
  const labels = new Set([...classes, ...splits.flatMap(split => split.classes.map(({ label }) => label))])
  const count = (split: DatasetReport['splits'][number], label: string): string =>
    formatCount(split.classes.find(entry => entry.label === label)?.images ?? 0)
  const rows = [...labels].map(label => [label, ...splits.map(split => count(split, label))])
  rows.push([color.dim('all'), ...splits.map(({ images }) => formatCount(images))])
  return table(['class', ...splits.map(({ name }) => name)], rows, `l${'r'.repeat(splits.length)}`)
}

const colors: Record<Severity, (text: string) => string> = {
  error: color.red,
  warning: color.yellow,
  info: color.cyan,
}
