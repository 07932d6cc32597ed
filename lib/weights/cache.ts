import { createHash } from 'node:crypto'
import { mkdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { VisionTorchError } from '../errors.js'
import { cannotWrite } from '../files.js'
import { invalid } from '../is.js'
import { type DownloadProgress, download } from './download.js'
import { fileName, type OfficialWeights } from './manifest.js'

/** visiontorch's folder in the user's cache: `$XDG_CACHE_HOME/visiontorch`, by default `~/.cache/visiontorch`. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'visiontorch')
}

export interface FetchWeightsOptions {
  /** Hash a file that is in the cache already; a download is always checked. Default false. */
  verify?: boolean
  signal?: AbortSignal | undefined
  onProgress?: ((progress: DownloadProgress) => void) | undefined
}

/**
 * The path of a checkpoint in the user's cache, downloaded first where it is not there yet. Official weights come from
 * the mirror `VISIONTORCH_WEIGHTS_URL` where that is set.
 *
 * @param weights Official weights, or the `http(s)` address of any checkpoint. The hash is checked where it is known: for
 *   an address, where the file's name ends in it (`name-0676ba61.pth`), as is the custom of PyTorch's hub.
 */
export async function fetchWeights(
  weights: OfficialWeights | string,
  options: FetchWeightsOptions = {},
): Promise<string> {
  const { url, path, sha256, official } =
    typeof weights === 'string' ? anyWeights(weights) : officialWeights(weights)
  const { verify = false, signal, onProgress } = options
  const folder = dirname(path)
  await mkdir(folder, { recursive: true }).catch(error => {
    throw cannotWrite(folder, error)
  })
  if (official !== undefined) await checkSize(path, official)
  const mirror =
    official === undefined ? '' : 'set VISIONTORCH_WEIGHTS_URL to a mirror that is reachable, or '
  const remedy = `${mirror}put the file at ${path} yourself`
  await download(url, path, { sha256, verify, signal, onProgress, remedy })
  return path
}

/** Where official weights lie, or will lie. */
export const weightsPath = (weights: OfficialWeights): string =>
  join(cacheFolder(), 'weights', fileName(weights))

function officialWeights(official: OfficialWeights) {
  const mirror = process.env.VISIONTORCH_WEIGHTS_URL
  if (mirror && !/^https?:\/\/./.test(mirror)) {
    throw invalid('VISIONTORCH_WEIGHTS_URL', 'the http(s) address of a mirror', mirror)
  }
  const url = mirror ? `${mirror.replace(/\/+$/, '')}/${fileName(official)}` : official.url
  return { url, path: weightsPath(official), sha256: official.sha256, official }
}

function anyWeights(address: string) {
  if (!URL.canParse(address)) throw invalid('weights', 'an http(s) address', address)
  const { pathname } = new URL(address)
  const name = pathname.slice(pathname.lastIndexOf('/') + 1).replace(/[^\w.-]/g, '_') || 'weights.pth'
  const sha256 = /-([0-9a-f]{8,64})\.\w+$/.exec(name)?.[1]
  // Without a hash in its name, only the whole address says which file it is.
  const folder = sha256 === undefined ? createHash('sha256').update(address).digest('hex').slice(0, 16) : ''
  return { url: address, path: join(cacheFolder(), 'weights', folder, name), sha256, official: undefined }
}

/** A file that was put there by hand and only in part is told by its size, without reading all of it. */
async function checkSize(path: string, { bytes, mebibytes }: OfficialWeights): Promise<void> {
  const size = await stat(path).then(
    found => found.size,
    () => undefined,
  )
  if (size === undefined) return
  const right = bytes === null ? Math.abs(size / 2 ** 20 - mebibytes) < 0.001 : size === bytes
  if (right) return
  throw new VisionTorchError(
    'ERR_FILE_READ',
    `${path}: expected ${bytes === null ? `${mebibytes} MiB` : `${bytes} bytes`}, got ${size} bytes. Remove the file: it is downloaded again`,
  )
}
