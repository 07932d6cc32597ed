import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { type Architecture, checkArchitecture, sizeOption } from '../model/architectures.js'
import { createModel } from '../model/create-model.js'
import type { Model } from '../model/model.js'
import type { Device } from '../native/runtime.js'
import { HttpError } from '../serve/errors.js'
import { readTraining } from '../serve/model-card.js'
import type { Service } from '../serve/service.js'
import type { TrainingEvent } from '../train/events.js'
import { resolveOptions, type TrainOptions } from '../train/options.js'
import { train } from '../train.js'
import { VisionTorchError } from '../util/errors.js'
import { check } from '../util/is.js'

/** The options that the page may choose. None is a path. */
export interface RunOptions extends Pick<TrainOptions, (typeof trainOptions)[number]> {
  model: Architecture
  /** `DEFAULT` starts from the official weights, `none` from random ones. */
  weights: 'DEFAULT' | 'none'
}

const trainOptions = [
  'epochs',
  'batchSize',
  'learningRate',
  'inputSize',
] as const satisfies (keyof TrainOptions)[]

/** An event of a run: an event of its training, or one before or after it. */
export type RunEvent =
  | TrainingEvent
  | { type: 'prepare'; run: string; model: string; received?: number; total?: number | null }
  | {
      type: 'done'
      isStopped: boolean
      directory: string
      /** The name under which the model is served, or null if it was not trained. */
      model: string | null
      /** Whether `training/<run>/report` shows a report. */
      hasReport: boolean
    }
  | { type: 'failed'; code: string; message: string }

interface Run {
  id: string
  controller: AbortController
  directory: string | null
  ended: Promise<void>
}

/**
 * The number of step events that are kept for pages that connect later. If there are more, every second one is
 * dropped.
 */
const MOST_STEPS = 1000
/** The shortest time between two progress events. */
const PROGRESS_MILLISECONDS = 100

/** Trains networks on one data set, one at a time, and serves the trained models. */
export class Trainer {
  #run: Run | undefined
  /** The events of the latest run. */
  #events: RunEvent[] = []
  #lastProgress = 0
  readonly #listeners = new Set<{ listener: (event: RunEvent) => void; close: () => void }>()
  readonly #reports = new Map<string, string>()

  constructor(
    private readonly dataset: Dataset,
    private readonly service: Service,
    private readonly where: { device: Device; weightsDir: string | undefined },
  ) {}

  /**
   * Starts a run.
   * @throws HttpError 409 if a run is under way.
   * @throws VisionTorchError `ERR_INVALID_ARGUMENT`
   */
  start(options: RunOptions): void {
    check.options('options', options, ['model', 'weights', ...trainOptions])
    const { model, weights, ...training } = options
    checkArchitecture(model)
    check.oneOf('weights', weights, ['DEFAULT', 'none'])
    resolveOptions(training)
    if (this.#run !== undefined)
      throw new HttpError(409, 'ERR_BUSY', 'a run is under way. Stop it, or wait until it ends')
    const controller = new AbortController()
    const run: Run = { id: randomUUID(), controller, directory: null, ended: Promise.resolve() }
    this.#run = run
    this.#events = []
    this.#push({ type: 'prepare', run: run.id, model })
    run.ended = this.#train(run, options).finally(() => {
      this.#run = undefined
    })
  }

  /** Stops the run, if there is one. Resolves with its directory when it is saved. */
  async stop(): Promise<string | null> {
    const run = this.#run
    if (run === undefined) return null
    run.controller.abort()
    await run.ended
    return run.directory
  }

  /**
   * Calls `listener` with the events of the latest run so far, and with all that follow.
   * @param close Called when there will be no more events.
   * @returns a function that removes the listener.
   */
  listen(listener: (event: RunEvent) => void, close: () => void): () => void {
    for (const event of this.#events) listener(event)
    const entry = { listener, close }
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  /** Stops the run, and closes the listeners. */
  async close(): Promise<string | null> {
    const directory = await this.stop()
    for (const { close } of this.#listeners) close()
    this.#listeners.clear()
    return directory
  }

  /** The path of the report of a run that has ended. */
  reportOf(run: string): string | undefined {
    return this.#reports.get(run)
  }

  async #train(run: Run, { model: name, weights, ...training }: RunOptions): Promise<void> {
    const { signal } = run.controller
    let model: Model | undefined
    let isStopped = false
    try {
      model = await createModel(name, {
        ...this.where,
        weights: weights === 'none' ? null : weights,
        classes: this.dataset.classes,
        seed: 0,
        signal,
        onProgress: progress => this.#push({ type: 'prepare', run: run.id, model: name, ...progress }),
        ...sizeOption(name, training.inputSize),
      })
      try {
        for await (const event of train(model, { ...training, data: this.dataset, signal })) {
          if (event.type === 'start') run.directory = event.directory
          this.#push(event)
        }
      } catch (error) {
        isStopped = signal.aborted && (error as Error).name === 'AbortError' && run.directory !== null
        if (!isStopped) throw error
      }
      await this.#finish(run, model, isStopped)
    } catch (error) {
      model?.dispose()
      const code = error instanceof VisionTorchError ? error.code : 'ERR_INTERNAL'
      const message = signal.aborted ? 'The run was stopped before it began.' : (error as Error).message
      this.#push({ type: 'failed', code, message })
    }
  }

  async #finish({ id, directory }: Run, model: Model, isStopped: boolean): Promise<void> {
    const { models, training } = this.service
    const path = directory!
    const served = isTrained(model) ? basename(path) : null
    if (served === null) model.dispose()
    else {
      training.set(served, await readTraining(join(path, isStopped ? 'last.pth' : 'best.pth')))
      models.serve(served, model)
    }
    const report = join(path, 'report.html')
    const hasReport = existsSync(report) // not of a run that was stopped, or if it could not be written
    if (hasReport) this.#reports.set(id, report)
    this.#push({ type: 'done', isStopped, directory: path, model: served, hasReport })
  }

  #push(event: RunEvent): void {
    if (event.type === 'step' || event.type === 'prepare') {
      const now = performance.now()
      if (this.#events.length > 0 && now - this.#lastProgress < PROGRESS_MILLISECONDS) return
      this.#lastProgress = now
    }
    if (event.type === 'prepare' && this.#events.at(-1)?.type === 'prepare') this.#events.pop()
    this.#events.push(event)
    const steps = this.#events.filter(({ type }) => type === 'step')
    if (steps.length > MOST_STEPS) {
      const dropped = new Set(steps.filter((_, i) => i % 2 === 0))
      this.#events = this.#events.filter(other => !dropped.has(other))
    }
    for (const { listener } of this.#listeners) listener(event)
  }
}

function isTrained(model: Model): boolean {
  try {
    model.checkGivesProbabilities(false)
    return true
  } catch {
    return false
  }
}
