import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { explain } from '../libtorch/explain.js'
import { type Installation, LIBTORCH_VERSION, libraries, sameAbi } from '../libtorch/installation.js'
import { checkLibrary } from '../libtorch/library.js'
import { locateLibTorch } from '../libtorch/locate.js'
import { VisionTorchError } from '../util/errors.js'
import { type Addons, packageDirectory, prebuiltAddons } from '../util/package.js'
import { withShortSpinning } from './openmp.js'
import { muslAdvice, unsupported } from './platform.js'

/** The part of the addon that loading needs: its errors, and the LibTorch that it is actually bound to. */
interface Bound {
  setErrorClass(errorClass: typeof VisionTorchError): void
  runtimeInfo(): { libtorchVersion: string; libtorchPath: string; cudaDevices: number }
}

/** The addon that opens shared libraries: native/open_library.cc. */
interface Opener {
  openLibrary(path: string): void
}

/**
 * Loads LibTorch, then the addon against it.
 * @throws VisionTorchError `ERR_LIBTORCH_NOT_FOUND`, `ERR_LIBTORCH_VERSION`, `ERR_LIBTORCH`, `ERR_ADDON_NOT_FOUND`;
 * `ERR_INVALID_ARGUMENT` if `VISIONTORCH_KERNELS` names kernels that this processor does not have
 */
export function loadAddon(): unknown {
  const reason = unsupported()
  if (reason !== null) throw new VisionTorchError('ERR_ADDON_NOT_FOUND', reason)
  const addons = findAddons()
  const expected = compiledAgainst(addons.main)
  const { found, attempts } = locateLibTorch(expected)
  if (found === null) throw explain(attempts, expected)

  withShortSpinning(() => loadLibTorch(found, addons.openLibrary))
  let addon: Bound
  try {
    addon = requireAddon(addons.main) as Bound
  } catch (cause) {
    throw new VisionTorchError(
      'ERR_LIBTORCH',
      `the addon ${addons.main} cannot be loaded with LibTorch ${found.version} of ${found.directory}: ${message(cause)}`,
      { cause },
    )
  }
  addon.setErrorClass(VisionTorchError)
  const { libtorchVersion, libtorchPath, cudaDevices } = addon.runtimeInfo()
  if (!sameAbi(libtorchVersion, expected) || dirname(libtorchPath) !== join(found.directory, 'lib'))
    throw new VisionTorchError(
      'ERR_LIBTORCH_VERSION',
      `expected LibTorch ${expected} from ${found.directory}, but this process runs on ${libtorchVersion} from ` +
        `${libtorchPath}. Load visiontorch before the package that brings that LibTorch, or in a separate process.`,
    )
  if (found.cuda && cudaDevices === 0)
    process.emitWarning(
      `LibTorch ${found.version} finds no CUDA device (is NVIDIA's driver installed?); computing on the CPU`,
      { type: 'VisionTorchWarning', code: 'VISIONTORCH_NO_CUDA_DEVICE' },
    )
  return addon
}

/**
 * The addons are in `build/Release` of the repository, or in `prebuilds/` of the package. The environment variable
 * `VISIONTORCH_PREBUILD` names the directory of another build, for tests.
 * @throws VisionTorchError `ERR_ADDON_NOT_FOUND`
 */
export function findAddons(): Addons {
  const built = process.env.VISIONTORCH_PREBUILD || join(packageDirectory(), 'build', 'Release')
  const candidates = [
    { main: join(built, 'visiontorch.node'), openLibrary: join(built, 'open-library.node') },
    prebuiltAddons(),
  ].filter(addons => addons !== null)
  const found = candidates.find(({ main }) => existsSync(main))
  if (found === undefined)
    throw new VisionTorchError(
      'ERR_ADDON_NOT_FOUND',
      `found no addon for ${process.platform}-${process.arch} at ${candidates.map(({ main }) => main).join(' or ')}. ` +
        'Install visiontorch again; in a clone, run: npm run build:native',
    )
  const problem = checkLibrary(found.main)
  if (problem !== null)
    throw new VisionTorchError(
      'ERR_ADDON_NOT_FOUND',
      `the addon ${found.main} ${problem}. Install visiontorch again.`,
    )
  return found
}

/** The build writes the version of its LibTorch next to the addon. */
export function compiledAgainst(addon: string): string {
  const file = join(dirname(addon), 'libtorch-version.txt')
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : LIBTORCH_VERSION
}

/**
 * Loads LibTorch's libraries by their paths, so that the addon uses exactly this libtorch_cpu, wherever packages are
 * installed and whatever LD_LIBRARY_PATH and the system's loader cache contain. A second addon opens them, because
 * `process.dlopen` is for addons: Bun and Deno refuse other libraries.
 */
function loadLibTorch(installation: Installation, opener: string): void {
  const wanted = libraries(installation)
  const other = mapped().find(path => /\/libtorch_cpu\.(so|dylib)$/.test(path) && !wanted.includes(path))
  if (other !== undefined)
    throw new VisionTorchError(
      'ERR_LIBTORCH_VERSION',
      `this process already runs on the LibTorch of ${other}, and two cannot share a process. Use visiontorch in a ` +
        `process of its own, or point VISIONTORCH_LIBTORCH at that LibTorch if it is ${installation.version}.`,
    )
  try {
    const { openLibrary } = requireAddon(opener) as Opener
    for (const library of wanted) openLibrary(library)
  } catch (cause) {
    throw new VisionTorchError(
      'ERR_LIBTORCH',
      `LibTorch ${installation.version} of ${installation.directory} cannot be loaded: ${message(cause)}${muslAdvice()}`,
      { cause },
    )
  }
}

const requireAddon = (path: string): unknown => createRequire(path)(path)

/** The libraries that this process has loaded. */
function mapped(): string[] {
  if (process.platform === 'darwin')
    return (process.report.getReport() as { sharedObjects?: string[] }).sharedObjects ?? []
  const lines = readFileSync('/proc/self/maps', 'utf8').split('\n')
  return lines.flatMap(line => /^\S+ \S+ \S+ \S+ \S+ +(\/.*)$/.exec(line)?.[1] ?? [])
}

/** The linker's message, and what to do if the system is too old. */
function message(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const [, needed] = /version `(GLIBC(?:XX)?_[\d.]+)' not found/.exec(text) ?? []
  return needed === undefined
    ? text
    : `${text}. This system's C or C++ library is too old: ${needed} comes with Debian 12, Ubuntu 22.04 and newer.`
}
