import type { Model } from '../model/model.js'
import { checkModel } from '../model/model.js'
import { invalid, is } from '../util/is.js'
import { printable } from '../util/text.js'
import { badRequest, notFound } from './errors.js'

/** A model for as long as a request uses it. */
export interface Lease extends Disposable {
  readonly name: string
  readonly model: Model
  /** Counts the models that this name has had, from 1. */
  readonly version: number
}

interface Slot {
  model: Model
  version: number
}

/** The models of a server by name. */
export class ServedModels {
  readonly #slots = new Map<string, Slot>()

  constructor(models: Readonly<Record<string, Model>>) {
    for (const [name, model] of Object.entries(models)) {
      if (!/^[\w][\w.-]{0,99}$/.test(name))
        throw invalid('models', 'names of letters, digits, dots, hyphens and underscores', name)
      this.#slots.set(name, { model: checkModel(model), version: 1 })
    }
    if (this.#slots.size === 0) throw invalid('models', 'at least one model', models)
  }

  get names(): string[] {
    return [...this.#slots.keys()]
  }

  /**
   * A model by its name; the only one without.
   * @throws HttpError 404, or 400 if the name is missing and there are several
   */
  use(name?: string): Lease {
    const { names } = this
    if (name === undefined && names.length > 1) throw badRequest(`expected model: one of ${names.join(', ')}`)
    const chosen = name ?? names[0]!
    const slot = this.#slots.get(chosen)
    if (slot === undefined)
      throw notFound(`there is no model '${printable(chosen, 100)}'. The models are ${names.join(', ')}`)
    return { name: chosen, model: slot.model, version: slot.version, [Symbol.dispose]() {} }
  }
}

/** The argument `models` of `createHandler` by name. */
export function modelsByName(models: unknown): Readonly<Record<string, Model>> {
  if (is.object(models) && Object.getPrototypeOf(models) === Object.prototype)
    return models as Record<string, Model>
  return { default: checkModel(models) }
}
