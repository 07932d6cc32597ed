import { setImmediate } from 'node:timers/promises'

/**
 * Compares strings as Python does, by code points. JavaScript compares UTF-16 units, which puts characters outside the
 * first plane (surrogates) before U+E000 to U+FFFF.
 */
export function byCodePoint(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return rank(x) - rank(y)
  }
  return a.length - b.length
}

const rank = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit)

/** How many names to process between two pauses: a few milliseconds of work. */
export const SLICE = 8192

/** Lets the event loop run, and throws if the signal is aborted. */
export async function pause(signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await setImmediate()
}

/** A stable sort that lets the event loop run: sorting a million names at once would block it for a second. */
export async function sortInSlices<T>(
  values: readonly T[],
  compare: (a: T, b: T) => number,
  signal?: AbortSignal,
): Promise<T[]> {
  let runs: T[][] = []
  for (let start = 0; start < values.length; start += SLICE) {
    runs.push(values.slice(start, start + SLICE).sort(compare))
    await pause(signal)
  }
  while (runs.length > 1) {
    const merged: T[][] = []
    for (let i = 0; i < runs.length; i += 2)
      merged.push(await merge(runs[i]!, runs[i + 1] ?? [], compare, signal))
    runs = merged
  }
  return runs[0] ?? []
}

async function merge<T>(a: T[], b: T[], compare: (a: T, b: T) => number, signal?: AbortSignal): Promise<T[]> {
  const out: T[] = []
  let i = 0
  let j = 0
  while (i < a.length || j < b.length) {
    const takeA = j === b.length || (i < a.length && compare(a[i]!, b[j]!) <= 0)
    out.push(takeA ? a[i++]! : b[j++]!)
    if (out.length % SLICE === 0) await pause(signal)
  }
  return out
}
