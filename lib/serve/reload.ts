import { type Stats, unwatchFile, watchFile } from 'node:fs'
import type { Model } from '../model/model.js'
import { predict } from '../model/predict.js'
import { readTraining } from './model-card.js'
import type { Logger } from './options.js'
import type { Service } from './service.js'

/** How often to check files. Polling also detects replaced files, and works on network file systems. */
const WATCH_MILLISECONDS = 1000

/** The source of a model. */
export interface ModelSource {
  /** Null for official weights and those of the Hugging Face Hub. */
  path: string | null
  load(): Promise<Model>
}

/** Reloads models from their files. The current models stay in use until then, and if anything fails. */
export class Reloader {
  readonly #running = new Map<string, Promise<void>>()
  readonly #watched: { path: string; listener: (now: Stats, before: Stats) => void }[] = []

  /** @param example An image that every new model must be able to predict before it is served. */
  constructor(
    private readonly service: Service,
    private readonly sources: ReadonlyMap<string, ModelSource>,
    private readonly example: Uint8Array,
    private readonly logger: Logger,
  ) {}

  /** Loads a model's file, checks it on the example, and serves it. A call in the meantime loads it once more. */
  reload(name: string): Promise<void> {
    const before = this.#running.get(name) ?? Promise.resolve()
    const after = before.catch(() => {}).then(() => this.#load(name))
    this.#running.set(name, after)
    after.catch(() => {}) // the caller handles the error
    return after
  }

  /** Reloads every model, and logs what fails. */
  async reloadAll(): Promise<void> {
    for (const name of this.sources.keys()) await this.reload(name).catch(() => {})
  }

  /** From now on, reloads a model after its file has changed and then stayed the same for a second. */
  watch(): void {
    for (const [name, { path }] of this.sources) {
      if (path === null) continue
      let changed: Stats | undefined
      const settle = (now: Stats) => {
        if (now !== changed) return
        changed = undefined
        this.reload(name).catch(() => {})
      }
      const listener = (now: Stats) => {
        if (now.size === 0) return // the file was removed, or is about to be written
        changed = now
        setTimeout(settle, WATCH_MILLISECONDS, now).unref()
      }
      watchFile(path, { interval: WATCH_MILLISECONDS, persistent: false }, listener)
      this.#watched.push({ path, listener })
    }
  }

  stop(): void {
    for (const { path, listener } of this.#watched.splice(0)) unwatchFile(path, listener)
  }

  async #load(name: string): Promise<void> {
    const { path, load } = this.sources.get(name)!
    const { models, options, training } = this.service
    const start = performance.now()
    try {
      const model = await load()
      let about: object | null
      try {
        await checkModel(model, this.example, options.allowUntrained)
        about = path === null ? null : await readTraining(path)
      } catch (error) {
        model.dispose()
        throw error
      }
      using old = models.use(name)
      const classesChanged = JSON.stringify(model.classes) !== JSON.stringify(old.model.classes)
      models.serve(name, model)
      training.set(name, about)
      const milliseconds = Math.round(performance.now() - start)
      this.logger.info({ model: name, path, milliseconds, classesChanged }, 'model reloaded')
    } catch (error) {
      this.logger.error({ model: name, path, err: error }, 'model not reloaded; the old one stays in use')
      throw error
    }
  }
}

/** @throws if the model cannot predict the example. */
export async function checkModel(model: Model, example: Uint8Array, allowUntrained: boolean): Promise<void> {
  await predict(model, example, { topK: 1, allowUntrained })
}
