import { Command } from 'commander'
import { type CheckpointSummary, inspectCheckpoint } from '../checkpoint.js'
import type { CheckpointValue } from '../native.js'
import { jsonOption } from './options.js'
import { formatBytes, formatCount, print, printJson, table } from './terminal.js'

export const inspectCommand = (): Command =>
  new Command('inspect')
    .description('what a .pth file holds: container, tensors, metadata; loads nothing')
    .argument('<file>', 'a .pth file of PyTorch or visiontorch')
    .option('--verify', 'check the checksum of every record, also of the large ones')
    .addOption(jsonOption())
    .action(async (file: string, options: { verify?: boolean; json?: boolean }) => {
      const summary = await inspectCheckpoint(file, { verify: options.verify ?? false })
      if (options.json) printJson({ ...summary, metadata: toJson(summary.metadata) })
      else print(render(summary))
    })

/** A value of a checkpoint as JSON has it: Maps become objects, bigints decimal strings, bytes base64. */
function toJson(value: CheckpointValue): unknown {
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [String(key), toJson(item)]))
  }
  if (Array.isArray(value)) return value.map(toJson)
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  return typeof value === 'bigint' ? String(value) : value
}

function render({ container, tensors, metadata }: CheckpointSummary): string {
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0)
  const elements = tensors.reduce((sum, { shape }) => sum + shape.reduce((n, size) => n * size, 1), 0)
  const rows = tensors.map(({ name, dtype, shape, bytes }) => [
    visible(name),
    dtype,
    shape.join(' x '),
    formatBytes(bytes),
  ])
  const lines = [...metadata].map(
    ([key, value]) => `${visible(String(key))}: ${shorten(JSON.stringify(toJson(value)))}`,
  )
  return [
    ...(rows.length > 0 ? [table(['tensor', 'dtype', 'shape', 'size'], rows, 'lllr'), ''] : []),
    ...(lines.length > 0 ? [...lines, ''] : []),
    `${container} file: ${formatCount(tensors.length)} ${tensors.length === 1 ? 'tensor' : 'tensors'}, ` +
      `${formatCount(elements)} elements, ${formatBytes(bytes)}`,
  ].join('\n')
}

/** Names come from the file, and must not reach a terminal as control sequences. */
function visible(text: string): string {
  return text.replace(/\p{Cc}/gu, '\u{FFFD}')
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 97)}...` : text
}
