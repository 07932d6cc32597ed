import { constants } from 'node:os'
import { join } from 'node:path'
import { findRendezvous } from '../distributed/rendezvous.js'
import { outputSignal } from './output.js'
import { note } from './terminal.js'

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

let received: NodeJS.Signals | undefined

/**
 * Within this time, a second signal is a repetition: launchers pass on a Ctrl-C that the terminal has already sent to
 * all processes.
 */
const TOGETHER = 5000 // ms

function isLaunched(): boolean {
  try {
    return findRendezvous(process.env) !== null
  } catch {
    return false
  }
}

/**
 * A signal that aborts at the first Ctrl-C, SIGTERM or SIGHUP, and when nobody reads the results any more; the command
 * then rejects with an `AbortError`. The second Ctrl-C kills the process.
 */
export function interruptSignal(message = 'stopping; press Ctrl-C again to kill'): AbortSignal {
  const controller = new AbortController()
  let first = 0
  const stop = (name: NodeJS.Signals) => {
    if (received !== undefined) {
      if (Date.now() - first < TOGETHER && isLaunched()) return
      process.off(name, stop)
      process.kill(process.pid, name)
      return
    }
    // The listener stays until the second signal: libraries that clean up at an exit (signal-exit) raise the signal again,
    // which would kill the process, if theirs is the only listener left.
    received = name
    first = Date.now()
    note(message)
    controller.abort()
  }
  for (const name of signals) process.on(name, stop)
  return AbortSignal.any([controller.signal, outputSignal])
}

/** Whether a command ended because its signal was aborted. */
export const isAbort = (error: unknown): boolean => error instanceof Error && error.name === 'AbortError'

/** The exit code of a command that a signal stopped: 130 for Ctrl-C, 143 for SIGTERM, 129 for SIGHUP. */
export function interruptCode(): number | undefined {
  return received && 128 + constants.signals[received]
}

/** Tells how to continue a training run that was stopped. */
export function noteSaved(directory: string): void {
  note(
    `saved ${join(directory, 'last.pth')}; continue with: visiontorch train --resume --out ${quoted(directory)}`,
  )
}

/** A path as a word of the shell. */
const quoted = (path: string): string =>
  /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`
