import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DownloadProgress, download } from '../download/download.js'
import { safeName } from '../download/name.js'
import { VisionTorchError } from '../util/errors.js'
import { invalid } from '../util/is.js'
import { type ExtractOptions, extractLibTorch } from './archive.js'
import { ARCHIVES } from './archives.js'
import { cacheDirectory, inspectInstallation, LIBTORCH_VERSION } from './installation.js'
import { store } from './store.js'

export interface InstallOptions {
  /** An archive or a directory of LibTorch, or the URL of an archive. Default: PyTorch's own download. */
  from?: string | undefined
  /** The SHA-256 of a downloaded archive. Default: the one in {@link ARCHIVES}, if that has its name. */
  sha256?: string | undefined
  signal?: AbortSignal | undefined
  /** Called with a message if the hash of a downloaded archive is not known. */
  onWarning?: ((message: string) => void) | undefined
  onDownload?: ((progress: DownloadProgress) => void) | undefined
  onExtract?: ExtractOptions['onProgress']
}

/**
 * Installs a build of LibTorch in the user's cache, where the loader finds it.
 * @param variant PyTorch's name of the build: "cpu", "cu130", …
 * @param version Default: the version against which visiontorch was built.
 * @returns its directory
 * @throws VisionTorchError `ERR_DOWNLOAD`, `ERR_FILE_NOT_FOUND`, `ERR_FILE_WRITE`, `ERR_LIBTORCH`, `ERR_LIBTORCH_VERSION`
 */
export async function installLibTorch(
  variant: string,
  options: InstallOptions = {},
  version = LIBTORCH_VERSION,
): Promise<string> {
  if (!/^(cpu|cu\d{3})$/.test(variant))
    throw invalid('variant', "'cpu' or a build for CUDA like 'cu130'", variant)
  const name = `${version}-${variant}`
  const place = join(cacheDirectory(), name)
  if (existsSync(place)) return place

  const from = options.from ?? archiveUrl(version, variant)
  const archive = await fetched(from, options)
  const fill = async (directory: string) => {
    if ((await stat(archive)).isDirectory()) await cp(archive, directory, { recursive: true })
    else await extractLibTorch(archive, directory, { signal: options.signal, onProgress: options.onExtract })
    await checkVariant(directory, version, variant)
  }
  await store(name, fill)
  if (archive !== from) await rm(archive, { force: true })
  return place
}

/** The URL of PyTorch's own archive, or of the one on the mirror `VISIONTORCH_LIBTORCH_URL`. */
export function archiveUrl(version: string, variant: string): string {
  const mirror = process.env.VISIONTORCH_LIBTORCH_URL || 'https://download.pytorch.org/libtorch'
  return `${mirror.replace(/\/+$/, '')}/${variant}/libtorch-shared-with-deps-${version}%2B${variant}.zip`
}

/** The path of an archive or directory. A URL is downloaded first, continuing an interrupted download. */
async function fetched(
  from: string,
  { sha256, signal, onDownload, onWarning }: InstallOptions,
): Promise<string> {
  if (/^https?:/.test(from)) {
    if (!URL.canParse(from)) throw invalid('from', 'a file, a directory or an http(s) URL', from)
    const downloads = join(cacheDirectory(), 'downloads')
    await mkdir(downloads, { recursive: true })
    const name = safeName(new URL(from).pathname, 'libtorch.zip')
    const path = join(downloads, name)
    const remedy = 'name an archive of LibTorch with --from, or a directory in VISIONTORCH_LIBTORCH'
    const archive = sha256 === undefined ? ARCHIVES[name] : { sha256 }
    await download(from, path, { signal, onProgress: onDownload, remedy, verify: true, ...archive })
    if (archive === undefined) onWarning?.(unverified(name))
    return path
  }
  const path = from.startsWith('file:') ? fileURLToPath(from) : from
  if (existsSync(path)) return path
  throw new VisionTorchError(
    'ERR_FILE_NOT_FOUND',
    `${path}: expected an archive or a directory of LibTorch, but it does not exist`,
  )
}

const unverified = (name: string): string =>
  `${name}: the hash of this archive is unknown, so it was not checked. ` +
  `The hashes of ${Object.keys(ARCHIVES).join(', ')} are known; give --sha256 for another archive`

async function checkVariant(directory: string, version: string, variant: string): Promise<void> {
  const found = inspectInstallation(directory, version)
  const [, build = found.cuda ? 'a CUDA build' : 'cpu'] = found.version.split('+')
  if (build !== variant && !(build === 'a CUDA build' && variant !== 'cpu'))
    throw new VisionTorchError('ERR_LIBTORCH_VERSION', `expected LibTorch for ${variant}, got ${build}`)
  const names = await readdir(join(found.directory, 'lib'))
  if (found.cuda && !names.some(name => name.startsWith('libcudart')))
    throw new VisionTorchError(
      'ERR_LIBTORCH',
      "has no libcudart in its folder. In Python's torch, for example, the CUDA libraries are in separate packages: " +
        `install PyTorch ${version} with pip, and set VISIONTORCH_LIBTORCH to that Python environment`,
    )
}
