import { HttpError } from './errors.js'

/** Ends a request after `milliseconds`, or when its client is gone. Dispose it when the request is done. */
export class Deadline implements Disposable {
  readonly #controller = new AbortController()
  readonly #timer: NodeJS.Timeout
  readonly #leave = () =>
    this.#controller.abort(new HttpError(499, 'ERR_CLIENT_CLOSED', 'the client closed the connection'))

  constructor(
    private readonly client: AbortSignal,
    milliseconds: number,
  ) {
    const expire = () => {
      const message = `the request took longer than ${milliseconds / 1000} seconds. Try again later`
      this.#controller.abort(new HttpError(503, 'ERR_TIMEOUT', message, { 'retry-after': '1' }))
    }
    this.#timer = setTimeout(expire, milliseconds)
    if (client.aborted) this.#leave()
    else client.addEventListener('abort', this.#leave, { once: true })
  }

  /** A signal that is aborted with an {@link HttpError} as its reason. */
  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.client.removeEventListener('abort', this.#leave)
  }
}
