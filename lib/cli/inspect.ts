import { Command } from 'commander'
import { type CheckpointSummary, inspectCheckpoint } from '../model/checkpoint.js'
import type { CheckpointValue } from '../native/native.js'
import { printable } from '../util/text.js'
import { jsonOption } from './options.js'
import { formatBytes, formatCount, print, printJson, table } from './terminal.js'

export const inspectCommand = (): Command =>
  new Command('inspect')
    .description(
      'show the content of a .pth or safetensors file (container, tensors, metadata) without loading it',
    )
    .argument('<file>', 'a .pth or safetensors file')
    .option('--verify', 'verify the checksum of every record, including large ones')
    .addOption(jsonOption())
    .action(async (file: string, options: { verify?: boolean; json?: boolean }) => {
      const summary = await inspectCheckpoint(file, { verify: options.verify ?? false })
      if (options.json) printJson({ ...summary, metadata: toJson(summary.metadata) })
      else print(render(summary))
    })

/** Converts a checkpoint value to JSON: Maps become objects, bigints decimal strings, and bytes base64. */
function toJson(value: CheckpointValue): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [keyText(key), toJson(item)]))
  }
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return typeof value === 'bigint' ? String(value) : value
}

/** The largest number of rows in a table. `--json` prints them all. */
const MOST_ROWS = 1000
/** The largest number of characters that a line shows of a value. */
const LONGEST_VALUE = 100

function render({ container, tensors, skipped, metadata }: CheckpointSummary): string {
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0)
  const elements = tensors.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0)
  const rows = tensors
    .slice(0, MOST_ROWS)
    .map(({ name, dtype, shape, bytes }) => [printable(name), dtype, shape.join(' x '), formatBytes(bytes)])
  const values = [...metadata].map(
    ([key, value]) =>
      `${printable(keyText(key), LONGEST_VALUE)}: ${printable(preview(value), LONGEST_VALUE)}`,
  )
  const objects = skipped.map(
    ({ name, type }) => `${printable(name)}: skipped, an object of ${printable(type)}`,
  )
  const blocks = [
    rows.length > 0 ? [table(['tensor', 'dtype', 'shape', 'size'], rows, 'lllr'), ...more(tensors)] : [],
    [...values.slice(0, MOST_ROWS), ...more(values)],
    [...objects.slice(0, MOST_ROWS), ...more(objects)],
  ]
  return [
    ...blocks.filter(lines => lines.length > 0).map(lines => `${lines.join('\n')}\n`),
    `${container} file: ${formatCount(tensors.length)} ${tensors.length === 1 ? 'tensor' : 'tensors'}, ` +
      `${formatCount(elements)} elements, ${formatBytes(bytes)}`,
  ].join('\n')
}

const more = ({ length }: readonly unknown[]): string[] =>
  length > MOST_ROWS ? [`... and ${formatCount(length - MOST_ROWS)} more (use --json)`] : []

/** A dictionary key as Python prints it, except that strings have no quotes. */
function keyText(key: CheckpointValue): string {
  return Array.isArray(key) ? `(${key.map(keyText).join(', ')})` : String(key)
}

/** The beginning of a value as JSON. Long lists and texts are cut first, so that they are not converted in full. */
function preview(value: CheckpointValue): string {
  let left = LONGEST_VALUE
  const cut = (value: CheckpointValue): CheckpointValue => {
    if (left <= 0) return null
    left -= 2
    if (typeof value === 'string') {
      left -= value.length
      return value.slice(0, 2 * LONGEST_VALUE)
    }
    if (value instanceof Uint8Array) return value.slice(0, LONGEST_VALUE)
    if (Array.isArray(value)) return value.slice(0, LONGEST_VALUE).map(cut)
    if (value instanceof Map)
      return new Map([...value].slice(0, LONGEST_VALUE).map(([key, item]) => [cut(key), cut(item)]))
    return value
  }
  return JSON.stringify(toJson(cut(value)))
}
