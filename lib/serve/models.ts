import { checkModel, type Model } from '../model/model.js'
import { invalid, is } from '../util/is.js'
import { printable } from '../util/text.js'
import { badRequest, notFound } from './errors.js'

/** A model that a request uses until it disposes the lease. */
export interface Lease extends Disposable {
  readonly name: string
  readonly model: Model
  /** The number of models that have had this name so far, including this one. */
  readonly version: number
}

interface Served {
  model: Model
  version: number
  since: Date
  users: number
  /** Whether to dispose the model as soon as nobody uses it. */
  isRetired: boolean
}

/** The models of a server by name. A model can be replaced while requests use it. */
export class ServedModels {
  /** Called before a batch is computed. */
  onBatch: ((name: string, count: number) => void) | undefined
  readonly #served = new Map<string, Served>()

  constructor(models: Readonly<Record<string, Model>>) {
    for (const [name, model] of Object.entries(models)) {
      if (!isModelName(name))
        throw invalid('models', 'names of letters, digits, dots, hyphens and underscores', name)
      this.#set(name, checkModel(model), 1)
    }
  }

  get names(): string[] {
    return [...this.#served.keys()]
  }

  /**
   * Leases a model by its name. The name may be left out if there is only one model.
   * @throws HttpError 404, or 400 if the name is missing and there are several models.
   */
  use(name?: string): Lease {
    const { names } = this
    if (name === undefined && names.length > 1) throw badRequest(`expected model: one of ${names.join(', ')}`)
    const chosen = name ?? names[0]
    if (chosen === undefined) throw notFound('there is no model yet. Train one first')
    const served = this.#find(chosen)
    served.users++
    let isDone = false
    return {
      name: chosen,
      model: served.model,
      version: served.version,
      [Symbol.dispose]() {
        if (isDone) return
        isDone = true
        served.users--
        if (served.isRetired && served.users === 0) served.model.dispose()
      },
    }
  }

  /** The time from which a model has been served. */
  since(name: string): Date {
    return this.#find(name).since
  }

  /** Serves a model from now on. The one that it replaces is disposed when the last request that uses it is done. */
  serve(name: string, model: Model): void {
    const old = this.#served.get(name)
    this.#set(name, model, (old?.version ?? 0) + 1)
    if (old === undefined) return
    old.isRetired = true
    if (old.users === 0) old.model.dispose()
  }

  #set(name: string, model: Model, version: number): void {
    model.batchListeners.add(count => this.onBatch?.(name, count))
    this.#served.set(name, { model, version, since: new Date(), users: 0, isRetired: false })
  }

  #find(name: string): Served {
    const served = this.#served.get(name)
    if (served !== undefined) return served
    throw notFound(`there is no model '${printable(name, 100)}'. The models are ${this.names.join(', ')}`)
  }
}

export const isModelName = (name: string): boolean => /^\w[\w.-]{0,99}$/.test(name)

/** The models in the argument `models` of `createHandler`, by name. */
export function modelsByName(models: unknown): Readonly<Record<string, Model>> {
  if (is.object(models) && Object.getPrototypeOf(models) === Object.prototype) {
    if (Object.keys(models).length === 0) throw invalid('models', 'at least one model', models)
    return models as Record<string, Model>
  }
  return { default: checkModel(models) }
}
