import { once } from 'node:events'
import type { VisionTorchError } from '../util/errors.js'
import { cannotWrite } from '../util/files.js'

// Detects whether results arrive: if the disk is full or the reader is gone, results must not be lost silently, and a
// command must not break off while it saves something.

const broken = new AbortController()
let failure: NodeJS.ErrnoException | undefined

/** Watches stdout and stderr from now on, so that their errors do not end the process. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error
    broken.abort()
  })
  process.stderr.on('error', () => {}) // there is nowhere left to report it
}

/** Aborts when stdout cannot be written, since further results would be lost. */
export const outputSignal: AbortSignal = broken.signal

/** Waits until everything is written: `process.exit()` would cut off what a slow reader has not read yet. */
export async function flushOutput(): Promise<void> {
  for (const stream of [process.stdout, process.stderr])
    await new Promise<void>(resolve => stream.write('', () => resolve()))
}

/** Waits while a slow reader is behind, so that results do not pile up in memory. */
export async function outputDrained(signal: AbortSignal): Promise<void> {
  if (!process.stdout.writableNeedDrain) return
  await once(process.stdout, 'drain', { signal })
}

/** Why stdout could not be written; undefined if it could, or if its reader has seen enough (`| head`). */
export function outputFailure(): VisionTorchError | undefined {
  return failure === undefined || failure.code === 'EPIPE'
    ? undefined
    : cannotWrite('to standard output', failure)
}
