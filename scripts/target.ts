import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Platform } from '../lib/libtorch/library.js'
import { fail } from './fail.js'

/** A platform to build for. */
export interface Target extends Platform {
  /** The name in `prebuilds/`: "linux-x64". */
  name: string
  /** CMake's arguments for compiling for it; empty for this machine. */
  cmake: readonly string[]
  /** The prefix of the compiler and of binutils: "aarch64-linux-gnu-"; null if only a machine of that platform can compile. */
  tools: string | null
  /** The build directory. */
  out: string
}

const ARM = 'aarch64-linux-gnu-'

export const host: Target = {
  name: `${process.platform}-${process.arch}`,
  os: process.platform,
  cpu: process.arch,
  cmake: [],
  tools: '',
  out: 'build',
}

/** The other platforms: one that Debian's cross compiler compiles for, and macOS. */
const others: readonly Target[] = [
  {
    name: 'linux-arm64',
    os: 'linux',
    cpu: 'arm64',
    cmake: [
      '--CDCMAKE_SYSTEM_NAME=Linux',
      '--CDCMAKE_SYSTEM_PROCESSOR=aarch64',
      `--CDCMAKE_CXX_COMPILER=${ARM}g++`,
    ],
    tools: ARM,
    out: join('build', 'linux-arm64'),
  },
  {
    name: 'darwin-arm64',
    os: 'darwin',
    cpu: 'arm64',
    cmake: [],
    tools: null,
    out: join('build', 'darwin-arm64'),
  },
]

/** Returns the target of `--target NAME`. Ends the script with a remedy if the name is unknown or the compiler is missing. */
export function targetNamed(name: string | undefined): Target {
  if (name === undefined || name === host.name) return host
  const target = others.find(target => target.name === name)
  if (target === undefined)
    fail(`--target: expected ${[host, ...others].map(({ name }) => name).join(' or ')}, got '${name}'`)
  if (target.tools === null) return target
  const compiler = `${target.tools}g++`
  if (!(process.env.PATH ?? '').split(':').some(directory => existsSync(join(directory, compiler))))
    fail(
      `${compiler} is needed to compile for ${name}; found none.`,
      `Install it: apt-get install g++-${target.tools.slice(0, -1)}`,
    )
  return target
}
