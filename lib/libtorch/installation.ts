import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { checkLibrary, libraryName, type Platform, thisPlatform } from './library.js'

/** The version of LibTorch against which visiontorch is built. Only this minor version can be loaded. */
export const LIBTORCH_VERSION = '2.13.0'

/** The package that carries LibTorch for this platform. */
export const RUNTIME_PACKAGE = `@visiontorch/libtorch-${process.platform}-${process.arch}`

/** A directory of LibTorch that can be loaded: `lib/` holds the libraries. */
export interface Installation {
  directory: string
  /** LibTorch's own name for its version: "2.13.0+cpu", "2.13.0+cu130". */
  version: string
  cuda: boolean
}

/** The reason why a directory was refused. */
export class Refusal extends Error {
  constructor(
    readonly reason: 'absent' | 'version' | 'damaged',
    message: string,
  ) {
    super(message)
  }
}

/** The folder for this user's downloaded builds of LibTorch, with one directory for each version and variant. */
export function cacheDirectory(): string {
  const cache = process.env.XDG_CACHE_HOME || join(homedir(), '.cache')
  return join(cache, 'visiontorch', 'libtorch')
}

/** The builds in the user's cache, newest first: "2.13.0-cu130", "2.13.0-cpu". */
export function cachedBuilds(): string[] {
  if (!existsSync(cacheDirectory())) return []
  return readdirSync(cacheDirectory())
    .filter(name => /^\d+\.\d+\.\d+-\w+$/.test(name))
    .sort()
    .reverse()
}

/** Whether two versions have the same C++ ABI, which changes with every minor version, but not between patches. */
export function sameAbi(a: string, b: string): boolean {
  const minor = (version: string) => version.split('.', 2).join('.')
  return minor(a) === minor(b)
}

/**
 * Checks a directory of LibTorch without loading it.
 * @param directory The directory of LibTorch, of `site-packages/torch`, or of a Python environment.
 * @param expected The version against which the addon was compiled.
 * @param platform The required platform.
 * @throws Refusal
 */
export function inspectInstallation(
  directory: string,
  expected: string,
  platform: Platform = thisPlatform,
): Installation {
  if (!existsSync(directory)) throw new Refusal('absent', 'no such directory')
  const core = join('lib', libraryName('c10', platform))
  const root = [directory, ...pythonTorches(directory)].find(path => existsSync(join(path, core)))
  if (root === undefined) throw new Refusal('absent', `holds no ${core}`)
  const version = versionOf(root)
  if (!sameAbi(version, expected))
    throw new Refusal('version', `is LibTorch ${version}; visiontorch was built against ${expected}`)
  const installation = {
    directory: realpathSync(root),
    version,
    cuda: existsSync(join(root, 'lib/libtorch_cuda.so')),
  }
  for (const library of libraries(installation, platform)) {
    const problem = checkLibrary(library, platform)
    if (problem !== null) throw new Refusal('damaged', `${library} ${problem}`)
  }
  return installation
}

/**
 * The libraries that LibTorch needs in its folder: OpenMP, and on Linux on Arm the Arm Compute Library, BLAS and LAPACK, and
 * two stubs for CUDA's libraries, which PyTorch's wheel for Arm needs when it is loaded (scripts/cross.ts).
 */
const OPENMP = /^(libgomp\b.*\.so|libomp\.dylib$)/
const COMPANIONS = [
  OPENMP,
  /^libopenblas\b.*\.so/,
  /^libarm_compute\.so/,
  /^libarm_compute_graph\.so/,
  /^libnvpl_blas_core\.so/,
  /^libnvpl_blas_lp64_gomp\.so/,
  /^libnvpl_lapack_core\.so/,
  /^libnvpl_lapack_lp64_gomp\.so/,
  /^libcudart\.so/,
  /^libcupti\.so/,
]

/**
 * The libraries to load, in the order of their dependencies, by their real paths, which the process's memory map also
 * shows.
 */
export function libraries({ directory, cuda }: Installation, platform: Platform = thisPlatform): string[] {
  const lib = join(directory, 'lib')
  const names = readdirSync(lib)
  const companions = (cuda ? [OPENMP] : COMPANIONS).flatMap(pattern =>
    names.filter(name => pattern.test(name)),
  )
  const torch = ['c10', 'torch_cpu', ...(cuda ? ['c10_cuda', 'torch_cuda'] : []), 'torch']
  return [...companions, ...torch.map(name => libraryName(name, platform))]
    .map(name => join(lib, name))
    .map(path => (existsSync(path) ? realpathSync(path) : path))
}

/** The directories of PyTorch in a Python environment: `lib/python3.12/site-packages/torch`. */
export function pythonTorches(environment: string): string[] {
  const lib = join(environment, 'lib')
  if (!existsSync(lib)) return []
  return readdirSync(lib)
    .filter(name => /^python3\.\d+$/.test(name))
    .map(name => join(lib, name, 'site-packages/torch'))
    .filter(existsSync)
}

/**
 * Reads the version: LibTorch's archive has `build-version`, Python's package has `version.py`, and both have a
 * header with it.
 */
function versionOf(directory: string): string {
  const read = (name: string) => {
    const path = join(directory, name)
    return existsSync(path) ? readFileSync(path, 'utf8') : ''
  }
  const version =
    read('build-version').trim() ||
    /__version__ = '([^']+)'/.exec(read('version.py'))?.[1] ||
    headerVersion(read('include/torch/headeronly/version.h'))
  if (!version)
    throw new Refusal('damaged', 'has no version (no build-version, version.py or torch/version.h)')
  return version
}

function headerVersion(header: string): string {
  const numbers = ['MAJOR', 'MINOR', 'PATCH'].map(
    part => new RegExp(`define TORCH_VERSION_${part} (\\d+)`).exec(header)?.[1],
  )
  return numbers.includes(undefined) ? '' : numbers.join('.')
}
