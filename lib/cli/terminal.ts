import { createLogUpdate } from 'log-update'
import pc from 'picocolors'
import stringWidth from 'string-width'
import { escapeName } from '../util/file-name.js'

// The output of all commands: results go to stdout; progress, notes and warnings, which are for the person who waits,
// go to stderr. A bar is drawn only on a terminal.

let quiet = false

/** `--quiet` hides progress and notes, but not warnings and errors. */
export function setQuiet(value: boolean): void {
  quiet = value
}

const coloured = (stream: NodeJS.WriteStream) =>
  !process.env.NO_COLOR && Boolean(process.env.FORCE_COLOR || (stream.isTTY && process.env.TERM !== 'dumb'))

/** Colours for what is printed to stdout. */
export const color = pc.createColors(coloured(process.stdout))
/** Colours for what goes to stderr. */
export const colorErr = pc.createColors(coloured(process.stderr))

/** Prints a result to stdout, in one or more lines. */
export function print(text: string): void {
  aroundBar(() => process.stdout.write(`${escapeName(text)}\n`))
}

/**
 * Prints the JSON document of `--json`. Escapes all characters that could mislead a terminal; JSON itself escapes
 * only some of them.
 */
export function printJson(value: unknown): void {
  print(JSON.stringify(value).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escapeUnits))
}

function escapeUnits(character: string): string {
  return Array.from(
    { length: character.length },
    (_, i) => `\\u${character.charCodeAt(i).toString(16).padStart(4, '0')}`,
  ).join('')
}

/** Prints to stderr something worth knowing while waiting, unless `--quiet` is set. */
export function note(text: string): void {
  if (!quiet) aroundBar(() => process.stderr.write(`${escapeName(text)}\n`))
}

/** Prints a warning to stderr. */
export function warn(text: string): void {
  aroundBar(() => process.stderr.write(`${colorErr.yellow('warning:')} ${escapeName(text)}\n`))
}

/** Prints an error to stderr. */
export function fail(text: string): void {
  aroundBar(() => process.stderr.write(`${colorErr.red('error:')} ${escapeName(text)}\n`))
}

/**
 * Formats columns of text. `align` has one letter for each column, `l` or `r`; columns without one are left-aligned. On a
 * terminal that is too narrow, each row becomes a paragraph.
 */
export function table(header: readonly string[], rows: readonly (readonly unknown[])[], align = ''): string {
  const cells = [header, ...rows].map(row => row.map(String))
  const widths = header.map((_, column) => Math.max(...cells.map(row => stringWidth(row[column] ?? ''))))
  const room = process.stdout.isTTY ? process.stdout.columns : Infinity
  if (widths.reduce((sum, width) => sum + width + 2, -2) > room) {
    return cells
      .slice(1)
      .map(([first, ...others]) => {
        const named = others.map((cell, i) => (cell === '' ? '' : `${header[i + 1]} ${cell}`.trim()))
        return [color.bold(first!), ...fill(named, room - 2).map(line => `  ${line}`)].join('\n')
      })
      .join('\n')
  }
  const lines = cells.map(row =>
    row
      .map((cell, column) => {
        const padding = ' '.repeat(widths[column]! - stringWidth(cell))
        return align[column] === 'r' ? padding + cell : cell + padding
      })
      .join('  ')
      .trimEnd(),
  )
  lines[0] = color.bold(lines[0]!)
  return lines.join('\n')
}

/** Puts as many parts into each line as fit into its width. */
export function fill(parts: readonly string[], width: number): string[] {
  const lines: string[] = []
  for (const part of parts.filter(part => part !== '')) {
    const longer = `${lines.at(-1)}  ${part}`
    if (lines.length > 0 && stringWidth(longer) <= width) lines[lines.length - 1] = longer
    else lines.push(part)
  }
  return lines
}

/** A line that changes during a wait, if stderr is a terminal. Disposable: `using bar = progress('reading', 100)`. */
export interface LiveLine {
  /** Draws the line again, unless it was drawn less than a tenth of a second ago; with `now`, always. */
  redraw(now?: boolean): void
  stop(): void
  [Symbol.dispose](): void
}

/**
 * Shows the text that `render` returns; other output appears above it. There is only one at a time: a new one
 * replaces the old one.
 */
export function liveLine(render: () => string): LiveLine {
  let drawn = -Infinity
  const draw = () => {
    drawn = performance.now()
    live(render())
  }
  const stop = () => {
    if (bar !== draw) return
    bar = undefined
    live.clear()
    live.done()
  }
  if (process.stderr.isTTY && !quiet) bar = draw
  return {
    redraw(now = false) {
      if (bar === draw && (now || performance.now() - drawn >= 100)) draw()
    },
    stop,
    [Symbol.dispose]: stop,
  }
}

/** A progress bar. */
export interface Progress extends Omit<LiveLine, 'redraw'> {
  /** Shows that `done` of the total are finished, and `note` after the numbers. */
  update(done: number, note?: string): void
}

/** Shows a progress bar; `format` renders its counts, for example {@link formatBytes}. */
export function progress(
  label: string,
  total: number,
  format: (value: number) => string = formatCount,
): Progress {
  const start = performance.now()
  let state = { done: 0, note: '' }
  const { redraw, ...line } = liveLine(() => {
    const seconds = (performance.now() - start) / 1000
    const { done, note } = state
    const left = done > 0 && done < total ? `, ${formatDuration((seconds / done) * (total - done))} left` : ''
    const text = `${format(done)}/${format(total)}${left}${note === '' ? '' : `  ${note}`}`
    return barLine(label, done / total, text)
  })
  return {
    ...line,
    update(done, note = '') {
      state = { done, note }
      redraw(done >= total)
    },
  }
}

// The cursor stays visible: to restore a hidden one, log-update would install signal handlers that end the process.
const live = createLogUpdate(process.stderr, { showCursor: true })
let bar: (() => void) | undefined // the bar on the screen

/** Writes above the bar, if there is one. */
function aroundBar(write: () => void): void {
  if (bar !== undefined) live.clear()
  write()
  bar?.()
}

/** `label ━━━━──── text`, with a bar that fills the room that is left, if any; `share` is 0 to 1. */
export function barLine(label: string, share: number, text: string): string {
  const width = Math.min(30, (process.stderr.columns ?? 80) - stringWidth(label) - stringWidth(text) - 3)
  if (width < 5) return `${label} ${text}`
  const full = share > 0 ? Math.round(Math.min(1, share) * width) : 0
  return `${label} ${colorErr.green('━'.repeat(full))}${colorErr.dim('─'.repeat(width - full))} ${text}`
}

/** 1234567 -> "1,234,567". */
export function formatCount(value: number): string {
  return value.toLocaleString('en-US')
}

/** 102530333 -> "97.8 MiB". */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const exponent = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log2(bytes) / 10))
  return `${(bytes / 1024 ** exponent).toFixed(exponent === 0 ? 0 : 1)} ${units[exponent]}`
}

/** 0.42 -> "0.4 s", 75 -> "1:15", 3700 -> "1:01:40". */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`
  const whole = Math.round(seconds)
  const two = (value: number) => String(value).padStart(2, '0')
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  return h > 0 ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`
}
