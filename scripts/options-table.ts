// Writes the table of training options from lib/train/table.ts into the documents that have its markers.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { flagOf, optionTable, shownDefault } from '../lib/train/table.js'

const root = join(import.meta.dirname, '..')
const [begin, end] = ['<!-- training options: npm run options-table -->', '<!-- end of training options -->']

/** One row per option: its name, its flag, its default, and what it does. */
export function optionsTable(): string {
  const rows = Object.entries(optionTable).map(([name, row]) =>
    [`\`${name}\``, `\`${flagOf(name, row)}\``, shownDefault(row), row.help].map(escapePipes).join(' | '),
  )
  return ['Option | Flag | Default | Meaning', '--- | --- | --- | ---', ...rows]
    .map(line => `| ${line} |`)
    .join('\n')
}

const escapePipes = (text: string): string => text.replaceAll('|', '\\|')

/** Returns the document with the current table, or undefined if it has no place for the table. */
export function withOptionsTable(document: string): string | undefined {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)]
  if (from === -1 || to === -1) return undefined
  return `${document.slice(0, from + begin.length)}\n${optionsTable()}\n${document.slice(to)}`
}

export const documents = ['docs/training.md'].map(name => join(root, name)).filter(existsSync)

if (process.argv[1] === import.meta.filename) {
  for (const path of documents) {
    const updated = withOptionsTable(readFileSync(path, 'utf8'))
    if (updated !== undefined) writeFileSync(path, updated)
  }
}
