import { MAX_PIXELS } from '../image/decode.js'
import { check, invalid, is } from '../util/is.js'

/** The destination of a server's log: a pino instance, `console`, or anything with these methods. */
export interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Options of `createHandler`. */
export interface HandlerOptions {
  /**
   * The path at which the handler is mounted, such as `/api/vision`, if the framework does not remove it (Next,
   * SvelteKit). Default ''.
   */
  basePath?: string
  /** The largest number of images in a batch: 1 to 4096, default 32. */
  batchSize?: number
  /** How many images may wait or be computed at the same time; more are refused with 429. Default 256. */
  maxQueue?: number
  /** The largest size of a request's body, in bytes; larger ones are refused with 413. Default 32 MiB. */
  maxBodyBytes?: number
  /** The largest number of pixels in an image; larger ones are refused with 413. Default 50,000,000. */
  maxPixels?: number
  /** The largest number of images in a request; more are refused with 413. Default 64, or `maxQueue` if that is lower. */
  maxFiles?: number
  /** How many milliseconds a request may take before it is answered with 503. Default 30,000. */
  timeout?: number
  /**
   * Requests must send one of these keys, as `Authorization: Bearer KEY` or `X-API-Key: KEY`. Default: no key is
   * needed.
   */
  apiKey?: string | readonly string[]
  /**
   * Web pages of other origins that may call the server, such as `https://example.com`, or `*` for all. Default:
   * none.
   */
  cors?: readonly string[]
  /** Serves a web page at `/` to try the model. Default true. */
  page?: boolean
  /** Also predicts with a classifier that was never trained, whose probabilities are random. Default false. */
  allowUntrained?: boolean
  /** Receives an entry for each request, and the causes of failures. Default: nothing is logged. */
  logger?: Logger
}

export interface CheckedOptions extends Required<Omit<HandlerOptions, 'apiKey' | 'logger'>> {
  apiKeys: readonly string[]
  logger: Logger | undefined
}

const names = [
  'basePath',
  'batchSize',
  'maxQueue',
  'maxBodyBytes',
  'maxPixels',
  'maxFiles',
  'timeout',
  'apiKey',
  'cors',
  'page',
  'allowUntrained',
  'logger',
] as const satisfies (keyof HandlerOptions)[]

export function checkHandlerOptions(options: HandlerOptions): CheckedOptions {
  check.options('options', options, names)
  const { basePath = '', apiKey = [], cors = [], logger } = options
  const maxQueue = check.integer('maxQueue', options.maxQueue ?? 256, 1, 1_000_000)
  const apiKeys = typeof apiKey === 'string' ? [apiKey] : apiKey
  if (typeof basePath !== 'string' || !/^(\/[\w.~-]+)*$/.test(basePath))
    throw invalid('basePath', "'' or a path such as '/api/vision'", basePath)
  if (!Array.isArray(apiKeys) || !apiKeys.every(key => is.string(key) && /^[\x21-\x7e]+$/.test(key)))
    throw invalid('apiKey', 'a key of printable ASCII characters without spaces, or an array of them', apiKey)
  if (!Array.isArray(cors) || !cors.every(origin => origin === '*' || isOrigin(origin)))
    throw invalid('cors', "an array of origins, such as ['https://example.com'], or ['*']", cors)
  if (logger !== undefined && !isLogger(logger))
    throw invalid('logger', 'an object with the methods info, warn and error', logger)
  return {
    basePath,
    batchSize: check.integer('batchSize', options.batchSize ?? 32, 1, 4096),
    maxQueue,
    maxBodyBytes: check.integer('maxBodyBytes', options.maxBodyBytes ?? 32 << 20, 1, 1 << 30),
    maxPixels: check.integer('maxPixels', options.maxPixels ?? 50_000_000, 1, MAX_PIXELS),
    maxFiles: check.integer('maxFiles', options.maxFiles ?? Math.min(64, maxQueue), 1, maxQueue),
    timeout: check.integer('timeout', options.timeout ?? 30_000, 1, 86_400_000),
    apiKeys,
    cors,
    page: check.boolean('page', options.page ?? true),
    allowUntrained: check.boolean('allowUntrained', options.allowUntrained ?? false),
    logger,
  }
}

function isLogger(value: unknown): boolean {
  const methods = value as Record<string, unknown> | null
  return ['info', 'warn', 'error'].every(name => typeof methods?.[name] === 'function')
}

function isOrigin(value: unknown): boolean {
  return typeof value === 'string' && URL.canParse(value) && new URL(value).origin === value
}
