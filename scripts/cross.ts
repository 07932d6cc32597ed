// The libraries that a build for another platform links with: LibTorch and libjpeg-turbo, from wheels whose hashes
// scripts/tools/ pins.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { extractLibTorch } from '../lib/libtorch/archive.js'
import { cacheDirectory, LIBTORCH_VERSION } from '../lib/libtorch/installation.js'
import { store } from '../lib/libtorch/store.js'
import type { Target } from './target.js'

/** What pip calls the platforms. */
const WHEELS: { [target: string]: string[] } = {
  'linux-arm64': ['manylinux_2_28_aarch64', 'manylinux2014_aarch64'],
  'darwin-arm64': ['macosx_14_0_arm64', 'macosx_11_0_arm64'],
}

/**
 * Returns the directory of LibTorch for a platform whose wheel scripts/tools/ pins. The first call on a machine installs it
 * in the user's cache.
 * @param name the directory's name in the cache
 */
export async function crossLibTorch(
  target: Target,
  name = `${LIBTORCH_VERSION}-cpu-${target.name}`,
): Promise<string> {
  const cached = join(cacheDirectory(), name)
  if (existsSync(cached)) return cached
  note(`LibTorch ${LIBTORCH_VERSION} for ${target.name} is not in ${cacheDirectory()} yet`)
  const temporary = mkdtempSync(join(tmpdir(), 'visiontorch-'))
  try {
    pip(target, ['download', '--python-version', '3.11'], temporary, `torch-${target.name}.txt`)
    const [wheel] = readdirSync(temporary)
    return await store(
      name,
      async directory => {
        await extractLibTorch(join(temporary, wheel!), directory)
        if (target.os === 'linux') await withoutCuda(directory, target)
      },
      target,
    )
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

/** Returns the prefix with libjpeg-turbo's static library and headers for another platform. */
export function crossLibjpeg(target: Target): string {
  const directory = join(cacheDirectory(), `../build-tools/libjpeg-${target.name}`)
  if (!existsSync(directory)) pip(target, ['install', '--ignore-requires-python'], directory, 'libjpeg.txt')
  return join(directory, 'libjpeg/install')
}

function pip(target: Target, command: string[], directory: string, requirements: string): void {
  const into = command[0] === 'install' ? '--target' : '--dest'
  const platforms = WHEELS[target.name]!.flatMap(platform => ['--platform', platform])
  execFileSync(
    'python3',
    [
      ...['-m', 'pip', ...command, '--quiet', into, directory, ...platforms],
      ...[
        '--no-deps',
        '--only-binary',
        ':all:',
        '--require-hashes',
        '--requirement',
        `scripts/tools/${requirements}`,
      ],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
}

/**
 * Makes a CPU build from PyTorch's wheel for Arm, which exists only with CUDA. Removes the GPU libraries. libtorch_cpu.so
 * still needs CUDA's runtime and CUPTI when it is loaded, and calls them when the profiler is used: stub libraries with the
 * same names, whose functions all return an error, replace them. An empty libtorch.so replaces the one that needs
 * libtorch_cuda.so.
 */
async function withoutCuda(directory: string, target: Target): Promise<void> {
  const lib = join(directory, 'lib')
  for (const file of readdirSync(lib))
    if (/cuda|nvshmem|nvrtc|python|shm|global_deps|^libtorch\.so/.test(file))
      await rm(join(lib, file), { recursive: true })

  const undefinedSymbols = execFileSync(
    `${target.tools}nm`,
    ['--dynamic', '--undefined-only', join(lib, 'libtorch_cpu.so')],
    { encoding: 'utf8' },
  )
  const errors: { [library: string]: number } = {
    'libcudart.so': 100, // cudaErrorNoDevice
    'libcupti.so': 15, // CUPTI_ERROR_NOT_INITIALIZED
  }
  for (const [library, error] of Object.entries(errors)) {
    const symbols = [...undefinedSymbols.matchAll(/ U (\w+)@(\S+)/g)].filter(([, , from]) =>
      from!.startsWith(library),
    )
    const version = symbols[0]?.[2]
    if (version === undefined) continue
    const functions = symbols.map(([, name]) => `int ${name}() { return ${error}; }`)
    sharedLibrary(target, lib, version, functions.join('\n'), `${version} { global: *; };`)
  }
  sharedLibrary(target, lib, 'libtorch.so', '', undefined, [
    '-Wl,--no-as-needed',
    join(lib, 'libtorch_cpu.so'),
  ])

  // So that it is recognized as the CPU build that it is now.
  const version = join(directory, 'version.py')
  writeFileSync(version, readFileSync(version, 'utf8').replace(/\+cu\d+/, '+cpu'))
}

function sharedLibrary(
  target: Target,
  lib: string,
  name: string,
  source: string,
  versions?: string,
  libraries: string[] = [],
): void {
  const script = join(lib, 'versions.map')
  if (versions !== undefined) writeFileSync(script, versions)
  execFileSync(
    `${target.tools}gcc`,
    [
      ...['-shared', '-fPIC', '-O1', '-nostdlib', `-Wl,-soname,${name}`, '-o', join(lib, name)],
      ...(versions === undefined ? [] : [`-Wl,--version-script=${script}`]),
      ...['-x', 'c', '-', '-x', 'none', '-Wl,-rpath,$ORIGIN', '-Wl,--allow-shlib-undefined', ...libraries],
    ],
    { input: source, stdio: ['pipe', 'inherit', 'inherit'] },
  )
  rmSync(script, { force: true })
}
