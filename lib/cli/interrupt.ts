import { note } from './terminal.js'

/**
 * A signal that the first Ctrl-C (or SIGTERM) aborts; the command then rejects with an `AbortError` and the process
 * ends with 130. The second Ctrl-C kills, as the handler is gone by then.
 */
export function interruptSignal(message = 'stopping; press Ctrl-C again to kill'): AbortSignal {
  const controller = new AbortController()
  const stop = () => {
    process.off('SIGINT', stop).off('SIGTERM', stop)
    note(message)
    controller.abort()
  }
  process.on('SIGINT', stop).on('SIGTERM', stop)
  return controller.signal
}
