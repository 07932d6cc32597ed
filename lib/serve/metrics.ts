import type { Registry } from 'prom-client'
import type { Admission } from './admission.js'
import type { ServedModels } from './models.js'

/** The metrics of GET /metrics. */
export interface Metrics {
  registries: readonly Registry[]
  /** Counts a response. */
  responded(route: string, method: string, status: number, seconds: number): void
  /** Counts an error, of a response or of one image of many, by its code. */
  failed(code: string): void
  /** Renders Prometheus' text format. */
  text(): Promise<{ body: string; contentType: string }>
}

type Libraries = typeof import('./libraries.js')

/** The memory, event loop and garbage collection of the process, which has them once. */
let ofProcess: Registry | undefined

/** Creates the metrics of a server, and counts the batches of its models from now on. */
export function createMetrics(libraries: Libraries, models: ServedModels, admission: Admission): Metrics {
  const { Counter, Gauge, Histogram, Registry } = libraries
  if (ofProcess === undefined) {
    ofProcess = new Registry()
    libraries.collectDefaultMetrics({ register: ofProcess })
  }
  const own = new Registry()
  const registers = [own]
  const requests = new Counter({
    name: 'visiontorch_requests_total',
    help: 'Responses by route, method and status',
    labelNames: ['route', 'method', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'visiontorch_request_seconds',
    help: 'Time from request to response',
    labelNames: ['route'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  const errors = new Counter({
    name: 'visiontorch_errors_total',
    help: 'Errors by code, of requests and of single images',
    labelNames: ['code'],
    registers,
  })
  const images = new Counter({
    name: 'visiontorch_images_total',
    help: 'Number of images that a network computed',
    labelNames: ['model'],
    registers,
  })
  const batches = new Histogram({
    name: 'visiontorch_batch_images',
    help: 'Number of images in a batch',
    labelNames: ['model'],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  })
  new Gauge({
    name: 'visiontorch_queue_images',
    help: 'Number of images that wait or are being computed',
    registers,
    collect() {
      this.set(admission.images)
    },
  })
  models.onBatch = (model, count) => {
    images.inc({ model }, count)
    batches.observe({ model }, count)
  }
  const registries = [own, ofProcess]
  const all = Registry.merge(registries)
  return {
    registries,
    responded(route, method, status, time) {
      requests.inc({ route, method, status: String(status) })
      seconds.observe({ route }, time)
    },
    failed: code => errors.inc({ code }),
    text: async () => ({ body: await all.metrics(), contentType: all.contentType }),
  }
}
