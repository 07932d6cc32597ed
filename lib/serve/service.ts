import { Admission } from './admission.js'
import { createMetrics, type Metrics } from './metrics.js'
import type { ServedModels } from './models.js'
import { type CheckedOptions, checkHandlerOptions, type HandlerOptions } from './options.js'
import type { Route } from './route.js'

/** The state that the routes of a server share. */
export interface Service {
  models: ServedModels
  options: CheckedOptions
  admission: Admission
  /** False while the server drains: it still answers, but should not get new requests. */
  isReady: boolean
  /** The number of requests that are being answered. */
  active: number
  metrics?: Metrics
  /** What each model's file says about its training. */
  training: Map<string, object | null>
  /** The routes that `visiontorch ui` adds; other servers have none. */
  trainingRoutes: readonly Route[]
  /** Reloads a model's file; undefined if the models have no files. */
  reload?: (name: string) => Promise<void>
}

export function createService(models: ServedModels, handlerOptions: HandlerOptions): Service {
  const options = checkHandlerOptions(handlerOptions)
  const admission = new Admission(options.maxQueue, options.maxBodyBytes)
  return {
    models,
    options,
    admission,
    isReady: true,
    active: 0,
    training: new Map(),
    trainingRoutes: [],
  }
}

export async function startMetrics(service: Service): Promise<Metrics> {
  service.metrics ??= createMetrics(await import('./libraries.js'), service.models, service.admission)
  return service.metrics
}
