import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { type DownloadProgress, download } from '../download/download.js'
import { safeName } from '../download/name.js'
import { VisionTorchError } from '../util/errors.js'
import { cannotWrite } from '../util/files.js'
import { check, invalid, is } from '../util/is.js'
import { fetchFromHub, isHubName, parseHubName } from './hub.js'
import { fileName, type OfficialWeights } from './manifest.js'

/** visiontorch's folder in the user's cache: `$XDG_CACHE_HOME/visiontorch`, by default `~/.cache/visiontorch`. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'visiontorch')
}

export interface FetchWeightsOptions {
  /** Also checks the hash of a file that is already in the cache; downloads are always checked. Default false. */
  verify?: boolean
  /**
   * A folder to search for files of official weights, by name, before downloading them. Default: the folder in the
   * environment variable `VISIONTORCH_WEIGHTS_DIR`, if it is set.
   */
  weightsDir?: string | undefined
  signal?: AbortSignal | undefined
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Called with a message if the hash of a downloaded file is not known. Default: `process.emitWarning`. */
  onWarning?: ((message: string) => void) | undefined
}

/** The size limit of a checkpoint that is downloaded from a URL of the user, in bytes. */
const MAX_BYTES = 2 ** 34

/**
 * The path of a checkpoint in `weightsDir` or the user's cache. If it is in neither, it is first downloaded into the cache;
 * official weights come from the mirror `VISIONTORCH_WEIGHTS_URL`, if that is set.
 *
 * @param weights Official weights, a repository of the Hugging Face Hub (`'hf:owner/name[@revision]'`, whose cache is used), or
 *   the `http(s)` URL of any checkpoint. The hash is checked if it is known: that of a
 *   URL is known if the file name ends in it (`name-0676ba61.pth`), as on PyTorch's hub.
 */
export async function fetchWeights(
  weights: OfficialWeights | string,
  options: FetchWeightsOptions = {},
): Promise<string> {
  check.options('options', options, ['verify', 'weightsDir', 'signal', 'onProgress', 'onWarning'])
  if (options.onWarning !== undefined && typeof options.onWarning !== 'function')
    throw invalid('onWarning', 'a function', options.onWarning)
  check.boolean('verify', options.verify ?? false)
  if (is.string(weights) && isHubName(weights))
    return (await fetchFromHub(parseHubName(weights), options)).weights
  const { url, path, sha256, official } =
    typeof weights === 'string'
      ? anyWeights(weights)
      : officialWeights(weights, await checkFolder(options.weightsDir))
  const { verify = false, signal, onProgress, onWarning = emitWarning } = options
  const folder = dirname(path)
  await mkdir(folder, { recursive: true }).catch(error => {
    throw cannotWrite(folder, error)
  })
  if (official !== undefined) await checkSize(path, official)
  const mirror =
    official === undefined ? '' : 'set VISIONTORCH_WEIGHTS_URL to a mirror that is reachable, or '
  const remedy = `${mirror}put the file at ${path} yourself`
  const isNew = !existsSync(path)
  await download(url, path, { sha256, verify, signal, onProgress, remedy, maxBytes: maxBytes(official) })
  if (isNew && sha256 === undefined) {
    onWarning(
      `${url}: the hash of this file is unknown, so it was not checked. ` +
        'A hash is known if the file name ends in it, as in name-0676ba61.pth',
    )
  }
  return path
}

const emitWarning = (message: string): void =>
  process.emitWarning(message, { code: 'VISIONTORCH_UNVERIFIED_DOWNLOAD' })

/** The manifest has the exact size, a size rounded to a thousandth of a MiB, or none. */
function maxBytes(official: OfficialWeights | undefined): number {
  if (official === undefined) return MAX_BYTES
  const { bytes, mebibytes } = official
  return bytes ?? (mebibytes === null ? MAX_BYTES : Math.ceil((mebibytes + 0.001) * 2 ** 20))
}

/**
 * The path of official weights, whether they exist or not: in the user's folder if that has them, otherwise in the
 * cache.
 */
export function weightsPath(weights: OfficialWeights, weightsDir = defaultFolder()): string {
  const name = fileName(weights)
  const given = weightsDir === undefined ? undefined : join(weightsDir, name)
  return given !== undefined && existsSync(given) ? given : join(cacheFolder(), 'weights', name)
}

const defaultFolder = (): string | undefined => process.env.VISIONTORCH_WEIGHTS_DIR || undefined

async function checkFolder(weightsDir = defaultFolder()): Promise<string | undefined> {
  if (weightsDir === undefined) return undefined
  check.string('weightsDir', weightsDir)
  const found = await stat(weightsDir).catch(() => undefined)
  if (found?.isDirectory()) return weightsDir
  throw new VisionTorchError(
    'ERR_FILE_NOT_FOUND',
    `weightsDir: expected a folder with files of weights, but ${weightsDir} does not exist or is not a folder`,
    { options: ['weightsDir'] },
  )
}

function officialWeights(official: OfficialWeights, weightsDir: string | undefined) {
  if (!is.object(official)) throw invalid('weights', 'an entry of listWeights(), or a URL', official)
  check.string('weights.url', official.url)
  check.string('weights.sha256', official.sha256)
  if (official.bytes !== null) check.integer('weights.bytes', official.bytes, 0)
  else if (official.mebibytes !== null) check.number('weights.mebibytes', official.mebibytes, 0)
  const mirror = process.env.VISIONTORCH_WEIGHTS_URL
  if (mirror && !/^https?:\/\/./.test(mirror)) {
    throw invalid('VISIONTORCH_WEIGHTS_URL', 'the http(s) URL of a mirror', mirror)
  }
  const url = mirror ? `${mirror.replace(/\/+$/, '')}/${fileName(official)}` : official.url
  return { url, path: weightsPath(official, weightsDir), sha256: official.sha256, official }
}

function anyWeights(address: string) {
  if (!URL.canParse(address)) throw invalid('weights', 'an http(s) URL', address)
  const { pathname } = new URL(address)
  const name = safeName(pathname, 'weights.pth')
  const sha256 = /-([0-9a-f]{8,64})\.\w+$/.exec(name)?.[1]
  // If the name contains no hash, only the whole URL identifies the file.
  const folder = sha256 === undefined ? createHash('sha256').update(address).digest('hex').slice(0, 16) : ''
  return { url: address, path: join(cacheFolder(), 'weights', folder, name), sha256, official: undefined }
}

/** Detects by its size, without reading it, a file that someone copied there incompletely. */
async function checkSize(path: string, { bytes, mebibytes }: OfficialWeights): Promise<void> {
  const size = await stat(path).then(
    found => found.size,
    () => undefined,
  )
  if (size === undefined || (bytes === null && mebibytes === null)) return
  const right = bytes === null ? Math.abs(size / 2 ** 20 - mebibytes!) < 0.001 : size === bytes
  if (right) return
  throw new VisionTorchError(
    'ERR_FILE_READ',
    `${path}: expected ${bytes === null ? `${mebibytes} MiB` : `${bytes} bytes`}, got ${size} bytes. Remove the file, so that it is downloaded again`,
  )
}
