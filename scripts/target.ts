import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fail } from './fail.js'

/** A platform to build for. */
export interface Target {
  /** The name in `prebuilds/`: "linux-x64". */
  name: string
  os: string
  cpu: string
  /** CMake's arguments for compiling for it; empty for this machine. */
  cmake: readonly string[]
  /** The prefix of binutils: "aarch64-linux-gnu-". */
  tools: string
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

/** The other platforms that this machine can compile for, with Debian's cross compilers. */
const cross: readonly Target[] = [
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
]

/** Returns the target of `--target NAME`. Ends the script with a remedy if the name is unknown or the compiler is missing. */
export function targetNamed(name: string | undefined): Target {
  if (name === undefined || name === host.name) return host
  const target = cross.find(target => target.name === name)
  if (target === undefined)
    fail(`--target: expected ${[host, ...cross].map(({ name }) => name).join(' or ')}, got '${name}'`)
  const compiler = `${target.tools}g++`
  if (!(process.env.PATH ?? '').split(':').some(directory => existsSync(join(directory, compiler))))
    fail(
      `${compiler} is needed to compile for ${name}; found none.`,
      `Install it: apt-get install g++-${target.tools.slice(0, -1)}`,
    )
  return target
}
