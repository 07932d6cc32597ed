import cluster from 'node:cluster'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { basename, extname } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Architecture } from '../model/architectures.js'
import { createModel, loadModel } from '../model/create-model.js'
import type { Model, ModelDType } from '../model/model.js'
import { type Device, setThreads } from '../native/runtime.js'
import { joinWorkers, tellReload, Workers } from '../serve/cluster.js'
import { readTraining } from '../serve/model-card.js'
import { isModelName, ServedModels } from '../serve/models.js'
import type { Logger } from '../serve/options.js'
import { checkModel, type ModelSource, Reloader } from '../serve/reload.js'
import { RunningServer } from '../serve/server.js'
import { createService } from '../serve/service.js'
import { refuse } from '../util/is.js'
import { isHubName } from '../weights/hub.js'
import { fileName, findWeights } from '../weights/manifest.js'
import { type AddressOptions, addressOptions, noteOpenPort } from './address.js'
import { dtypeOption, weightsDirOption, withDownload } from './model.js'
import { deviceOption, integer, list, number, threadsOption } from './options.js'
import { note } from './terminal.js'

interface ServeCommandOptions extends AddressOptions {
  /** Files and official weights by name. */
  checkpoint: [name: string, path: string][]
  model: [name: string, weights: string][]
  weightsDir?: string
  grace: number
  workers: number
  cors?: string[]
  example?: string
  watch: boolean
  page: boolean
  batchSize: number
  maxQueue: number
  maxBody: number
  maxPixels: number
  maxFiles: number
  timeout: number
  allowUntrained?: boolean
  device: string
  dtype?: ModelDType
  threads?: number
  log: string
}

export function serveCommand(): Command {
  const command = new Command('serve')
    .description('serve predictions over HTTP (docs/serving.md describes the routes)')
    .addOption(
      new Option('--checkpoint <[name=]file>', 'a model that visiontorch saved; give it once for each model')
        .argParser(named(path => basename(path, extname(path)).replace(/[^\w.-]/g, '_')))
        .default([], 'none'),
    )
    .addOption(
      new Option(
        '--model <[name=]weights>',
        'official weights by their names in `weights list`, such as resnet50 or resnet50.IMAGENET1K_V1',
      )
        .argParser(named(weights => weights.split('.')[0]!))
        .default([], 'none'),
    )
    .addOption(weightsDirOption())
  for (const option of addressOptions()) command.addOption(option)
  return command
    .option(
      '--cors <origins>',
      'origins of web pages that may call the server: https://example.com,... or *',
      list(String),
    )
    .option(
      '--workers <n>',
      'number of processes behind the port, for machines with many cores',
      integer(1, 256),
      1,
    )
    .option('--grace <seconds>', 'how long requests may take to finish after SIGTERM', number(0, 86_400), 20)
    .option(
      '--example <image>',
      'an image that a reloaded model must be able to predict (default: a built-in one)',
    )
    .option('--no-watch', 'do not reload a checkpoint when its file changes')
    .option('--no-page', 'do not serve the web page at /')
    .option('--batch-size <n>', 'largest number of images in a batch', integer(1, 4096), 32)
    .option(
      '--max-queue <n>',
      'how many images may wait; more are refused with 429',
      integer(1, 1_000_000),
      256,
    )
    .option(
      '--max-body <bytes>',
      'largest body of a request; larger ones are refused with 413',
      integer(1, 1 << 30),
      32 << 20,
    )
    .option(
      '--max-pixels <n>',
      'largest number of pixels in an image; larger ones are refused with 413',
      integer(1),
      50_000_000,
    )
    .option(
      '--max-files <n>',
      'largest number of images in a request; more are refused with 413',
      integer(1),
      64,
    )
    .option(
      '--timeout <seconds>',
      'how long a request may take before it is answered with 503',
      number(0.001, 86_400),
      30,
    )
    .option('--allow-untrained', 'also use a classifier that was never trained, whose predictions are random')
    .addOption(
      new Option('--log <level>', 'lowest level of the JSON log on stdout; info logs every request')
        .choices(['info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .addOption(threadsOption())
    .action(runServe)
}

/** Collects `name=source`, or a source, whose name is `nameOf(source)`. */
const named =
  (nameOf: (source: string) => string) =>
  (text: string, others: [string, string][]): [string, string][] => {
    const [, given, source = text] = /^([\w.-]+)=(.+)$/.exec(text) ?? []
    const name = given ?? nameOf(source)
    if (!isModelName(name))
      throw new InvalidArgumentError(`'${name}' cannot be the name of a model: use name=${source}.`)
    return [...others, [name, source]]
  }

async function runServe(options: ServeCommandOptions): Promise<void> {
  const { pino } = await import('../serve/libraries.js')
  const destination = pino.destination({ dest: 1, sync: true })
  destination.on('error', () => {}) // the reader of the log is gone
  const logger = pino({ level: options.log, base: { pid: process.pid } }, destination)
  if (options.workers > 1 && cluster.isPrimary) await runWorkers(options, logger)
  else await runServer(options, logger)
}

async function runWorkers(options: ServeCommandOptions, logger: Logger): Promise<void> {
  const stop = stopSignal()
  const { workers, url } = await Workers.start(options.workers, logger)
  if (url !== null) announce(options, url)
  stop.then(() => workers.drain())
  process.on('SIGHUP', () => workers.reload())
  process.exitCode = await workers.ended
}

async function runServer(options: ServeCommandOptions, logger: Logger): Promise<void> {
  const isWorker = cluster.isWorker
  const stop = isWorker ? ignoreSignals() : stopSignal()
  const threads =
    options.threads ??
    (isWorker ? Math.max(1, Math.floor(availableParallelism() / options.workers)) : undefined)
  if (threads !== undefined) setThreads(threads)
  const apiKey = options.apiKey?.split(',') ?? []
  const sources = modelSources(options)
  const allowUntrained = options.allowUntrained === true
  const example = options.example === undefined ? builtInExample() : await readFile(options.example)
  const models: Record<string, Model> = {}
  for (const [name, { load }] of sources) {
    models[name] = await load()
    await checkModel(models[name], example, allowUntrained)
  }
  if (options.maxFiles > options.maxQueue)
    throw refuse(`--max-files: expected at most --max-queue (${options.maxQueue}), got ${options.maxFiles}`)
  const service = createService(new ServedModels(models), {
    batchSize: options.batchSize,
    maxQueue: options.maxQueue,
    maxBodyBytes: options.maxBody,
    maxPixels: options.maxPixels,
    maxFiles: options.maxFiles,
    timeout: Math.ceil(options.timeout * 1000),
    apiKey,
    cors: options.cors ?? [],
    page: options.page,
    allowUntrained,
    logger,
  })
  for (const [name, { path }] of sources)
    if (path !== null) service.training.set(name, await readTraining(path))
  const reloader = new Reloader(service, sources, example, logger)
  service.reload = async name => {
    await reloader.reload(name)
    if (isWorker) tellReload(name)
  }
  const server = await RunningServer.start(service, {
    host: options.host,
    port: options.port,
    allowedHosts: options.allowedHost ?? [],
  })
  if (options.watch) reloader.watch()
  let stopped = stop
  if (isWorker) {
    stopped = new Promise(drain => {
      joinWorkers(service, server.url, {
        drain,
        reload: name => void (name === null ? reloader.reloadAll() : reloader.reload(name).catch(() => {})),
      })
    })
  } else {
    process.on('SIGHUP', () => void reloader.reloadAll())
    announce(options, server.url)
  }
  await stopped
  logger.info({ grace: options.grace }, 'draining')
  reloader.stop()
  await server.drain(options.grace * 1000)
  logger.info({}, 'stopped')
}

/** @throws ERR_INVALID_ARGUMENT if there is no model, two have the same name, or there are no such official weights. */
function modelSources(options: ServeCommandOptions): Map<string, ModelSource> {
  const { checkpoint, model, dtype, weightsDir } = options
  const where = { device: options.device as Device, ...(dtype && { dtype }) }
  const sources = new Map<string, ModelSource>()
  const add = (name: string, given: string, source: ModelSource) => {
    if (sources.has(name))
      throw refuse(`Two models are called '${name}': give each a name, as in name=${given}`)
    sources.set(name, source)
  }
  for (const [name, path] of checkpoint) {
    const load = () => withDownload(path, onProgress => loadModel(path, { ...where, onProgress }))
    add(name, path, { path: isHubName(path) ? null : path, load })
  }
  for (const [name, given] of model) {
    const found = findWeights(given, 'model')
    const load = () =>
      withDownload(given, onProgress =>
        createModel(found.architecture as Architecture, {
          ...where,
          weights: fileName(found),
          weightsDir,
          onProgress,
        }),
      )
    add(name, given, { path: null, load })
  }
  if (sources.size > 0) return sources
  throw refuse('expected --checkpoint FILE, or --model NAME for official weights')
}

function announce(options: ServeCommandOptions, url: string): void {
  const { checkpoint, model, workers } = options
  const names = [...checkpoint, ...model].map(([name]) => name).join(', ')
  note(`serving ${names} on ${url}${workers > 1 ? ` with ${workers} processes` : ''}; Ctrl-C ends it`)
  noteOpenPort(options)
}

/** Resolves at the first SIGTERM or Ctrl-C. The second one kills the process. */
function stopSignal(): Promise<void> {
  return new Promise(resolve => {
    let received = false
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      const stop = () => {
        if (received) {
          process.off(name, stop)
          process.kill(process.pid, name)
        }
        received = true
        resolve()
      }
      process.on(name, stop)
    }
  })
}

/**
 * Ignores signals in a worker: a terminal sends them to all processes, but the primary process tells the workers what
 * to do.
 */
function ignoreSignals(): Promise<void> {
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})
  return new Promise(() => {})
}

/** A pattern of 64 x 64 pixels as a PPM file. */
function builtInExample(): Uint8Array {
  const pixels = Buffer.alloc(64 * 64 * 3)
  for (let i = 0; i < pixels.length; i++) pixels[i] = (i * 7) % 256
  return Buffer.concat([Buffer.from('P6 64 64 255\n'), pixels])
}
