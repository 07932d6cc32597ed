import { once } from 'node:events'
import type { VisionTorchError } from '../util/errors.js'
import { cannotWrite } from '../util/files.js'

// Whether results arrive: a full disk or a reader that went away must neither lose them silently nor break a command
// in the middle of saving something.

const broken = new AbortController()
let failure: NodeJS.ErrnoException | undefined

/** Watches stdout and stderr from now on, so that their errors do not end the process. */
export function watchOutput(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error
    broken.abort()
  })
  process.stderr.on('error', () => {}) // there is nowhere left to say so
}

/** Aborts when stdout cannot be written: whatever else a command computes would be lost. */
export const outputSignal: AbortSignal = broken.signal

/** Waits until everything was written: `process.exit()` would cut what a slow reader has not taken yet. */
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
