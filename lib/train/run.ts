import { invalid } from '../util/is.js'
import type { TrainingEvent, TrainingResult } from './events.js'

/**
 * A running training. Await it to get the {@link TrainingResult}; it rejects with an `AbortError` if its signal is
 * aborted. Iterate over it to get its events as they happen; the iteration ends or throws when the run does.
 *
 * ```ts
 * const run = train(model, { data: 'photos' })
 * for await (const event of run) if (event.type === 'epoch') console.log(event.epoch, event.top1)
 * const { best } = await run
 * ```
 *
 * Each iterator gets the events that happen after it was created. Training does not wait for its listeners, and
 * leaving a loop early does not stop it.
 */
export class TrainingRun implements PromiseLike<TrainingResult>, AsyncIterable<TrainingEvent> {
  readonly #result: Promise<TrainingResult>
  readonly #listeners = new Set<Listener>()
  #settled = false
  #observed = false

  /** `work` starts after the caller's synchronous code, so that the caller can start to listen first. */
  constructor(work: (emit: (event: TrainingEvent) => void) => Promise<TrainingResult>) {
    if (typeof work !== 'function') throw invalid('work', 'a function: call train() instead', work)
    const emit = (event: TrainingEvent) => {
      for (const listener of this.#listeners) listener.push(event)
    }
    const settle = () => {
      this.#settled = true
      for (const listener of this.#listeners) listener.wake()
    }
    this.#result = Promise.resolve().then(() => work(emit))
    this.#result.then(settle, error => {
      settle()
      if (!this.#observed) throw error // an unhandled rejection, as with any promise that nobody awaits
    })
  }

  // biome-ignore lint/suspicious/noThenProperty: a run is awaitable by design
  then<A = TrainingResult, B = never>(
    onFulfilled?: ((value: TrainingResult) => A | PromiseLike<A>) | null,
    onRejected?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#observed = true
    return this.#result.then(onFulfilled, onRejected)
  }

  [Symbol.asyncIterator](): AsyncGenerator<TrainingEvent, void, undefined> {
    this.#observed = true
    const listener = new Listener()
    this.#listeners.add(listener)
    return this.#events(listener)
  }

  async *#events(listener: Listener): AsyncGenerator<TrainingEvent, void, undefined> {
    try {
      for (;;) {
        const event = listener.events.shift()
        if (event !== undefined) yield event
        else if (this.#settled) break
        else await listener.woken()
      }
    } finally {
      this.#listeners.delete(listener)
    }
    await this.#result // rethrows the error of the run
  }
}

/** The events that an iterator has not delivered yet. */
class Listener {
  readonly events: TrainingEvent[] = []
  #wake: (() => void) | undefined

  push(event: TrainingEvent): void {
    this.events.push(event)
    this.wake()
  }

  wake(): void {
    this.#wake?.()
  }

  woken(): Promise<void> {
    return new Promise(resolve => {
      this.#wake = resolve
    })
  }
}
