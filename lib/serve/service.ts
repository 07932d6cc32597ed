import type { Model } from '../model/model.js'
import { Admission } from './admission.js'
import { createMetrics, type Metrics } from './metrics.js'
import { modelsByName, ServedModels } from './models.js'
import { type CheckedOptions, checkHandlerOptions, type HandlerOptions } from './options.js'

/** What the routes of a server share. */
export interface Service {
  models: ServedModels
  options: CheckedOptions
  admission: Admission
  /** False while the server drains: it still answers, but should get no new requests. */
  isReady: boolean
  /** Requests that are being answered. */
  active: number
  metrics?: Metrics
  /** What each model's file says about its training. */
  training: Map<string, object | null>
  /** Loads a model's file again; undefined if the models have none. */
  reload?: (name: string) => Promise<void>
}

export function createService(
  models: Model | Readonly<Record<string, Model>>,
  handlerOptions: HandlerOptions,
): Service {
  const served = new ServedModels(modelsByName(models))
  const options = checkHandlerOptions(handlerOptions)
  const admission = new Admission(options.maxQueue, options.maxBodyBytes)
  return { models: served, options, admission, isReady: true, active: 0, training: new Map() }
}

export async function startMetrics(service: Service): Promise<Metrics> {
  service.metrics ??= createMetrics(await import('./libraries.js'), service.models, service.admission)
  return service.metrics
}
