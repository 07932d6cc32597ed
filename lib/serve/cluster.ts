import cluster, { type Worker } from 'node:cluster'
import type { Logger } from './options.js'
import type { Service } from './service.js'

// Several processes behind one port. The primary process computes nothing, and passes messages between the others.

type Message =
  | { visiontorch: 'listening'; url: string }
  | { visiontorch: 'drain' }
  | { visiontorch: 'reload'; name: string | null }
  | { visiontorch: 'metrics'; id: number; text?: string }

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && 'visiontorch' in value

/** How long to wait before replacing a process that ended. */
const RESTART_MILLISECONDS = 1000

/** The worker processes of a server, managed by the primary process. */
export class Workers {
  #isStopping = false
  readonly #ended: Promise<number>
  #end!: (code: number) => void

  private constructor(private readonly logger: Logger) {
    this.#ended = new Promise(resolve => {
      this.#end = resolve
    })
  }

  /** Starts the workers, which run this program with the same arguments. Resolves when all of them listen. */
  static async start(count: number, logger: Logger): Promise<{ workers: Workers; url: string | null }> {
    const workers = new Workers(logger)
    const { AggregatorRegistry } = await import('./libraries.js')
    const registry = new AggregatorRegistry()
    const listening = new Set<number>()
    const url = await new Promise<string | null>(resolve => {
      cluster.on('message', (worker: Worker, message: unknown) => {
        if (!isMessage(message)) return
        if (message.visiontorch === 'listening') {
          listening.add(worker.id)
          if (listening.size === count) resolve(message.url)
        } else if (message.visiontorch === 'reload') {
          workers.#send(message, worker)
        } else if (message.visiontorch === 'metrics') {
          registry.clusterMetrics().then(
            text => worker.send({ ...message, text }),
            error => logger.error({ err: error }, 'no metrics'),
          )
        }
      })
      cluster.on('exit', (worker, code, signal) => {
        const { length: left } = Object.keys(cluster.workers ?? {})
        if (workers.#isStopping) {
          if (left === 0) workers.#end(0)
          return
        }
        if (!listening.has(worker.id)) {
          // It could not start, has said why, and would fail again.
          resolve(null)
          workers.#end(code || 1)
          workers.drain()
          return
        }
        logger.error({ pid: worker.process.pid, code, signal }, 'process ended; starting another')
        setTimeout(() => workers.#isStopping || cluster.fork(), RESTART_MILLISECONDS)
      })
      for (let i = 0; i < count; i++) cluster.fork()
    })
    return { workers, url }
  }

  /** Resolves with the exit code when all workers have ended. */
  get ended(): Promise<number> {
    return this.#ended
  }

  reload(): void {
    this.#send({ visiontorch: 'reload', name: null })
  }

  drain(): void {
    this.#isStopping = true
    this.#send({ visiontorch: 'drain' })
    if (Object.keys(cluster.workers ?? {}).length === 0) this.#end(0)
  }

  #send(message: Message, except?: Worker): void {
    for (const worker of Object.values(cluster.workers ?? {}))
      if (worker !== except)
        worker?.send(message, error => error && this.logger.warn({ err: error }, 'no answer'))
  }
}

/** The actions that the primary process requests from a worker. */
export interface WorkerActions {
  drain(): void
  /** Reloads one model, or all models if it is null. */
  reload(name: string | null): void
}

/** Connects this worker with the others: from now on, the metrics cover all workers. */
export async function joinWorkers(service: Service, url: string, actions: WorkerActions): Promise<void> {
  const { AggregatorRegistry } = await import('./libraries.js')
  const { metrics } = service
  if (metrics === undefined) throw new Error('the server has not started')
  AggregatorRegistry.setRegistries([...metrics.registries])
  new AggregatorRegistry() // answers requests of the primary process from now on
  const { contentType } = await metrics.text()
  const waiting = new Map<number, (text: string) => void>()
  let next = 0
  metrics.text = () =>
    new Promise(resolve => {
      const id = next++
      waiting.set(id, body => resolve({ body, contentType }))
      send({ visiontorch: 'metrics', id })
    })
  process.on('message', message => {
    if (!isMessage(message)) return
    if (message.visiontorch === 'drain') actions.drain()
    else if (message.visiontorch === 'reload') actions.reload(message.name)
    else if (message.visiontorch === 'metrics') {
      waiting.get(message.id)?.(message.text ?? '')
      waiting.delete(message.id)
    }
  })
  send({ visiontorch: 'listening', url })
}

/** Makes the other workers reload a model. */
export const tellReload = (name: string): void => send({ visiontorch: 'reload', name })

function send(message: Message): void {
  process.send?.(message)
}
