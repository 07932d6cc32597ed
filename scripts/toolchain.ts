// The tools that building the addon needs: a C++20 compiler, CMake, make or Ninja, and libjpeg-turbo. All except the
// compiler are installed into the user's cache if the machine lacks them, from the registries that npm and pip are
// configured for. scripts/tools/ pins their hashes.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { cacheDirectory } from '../lib/libtorch/installation.js'
import { fail } from './fail.js'

const CMAKE = [3, 22] as const // as in CMakeLists.txt
const TOOLS = join(cacheDirectory(), '../build-tools')

export type Need = 'compiler' | 'cmake' | 'make' | 'libjpeg'

/** A tool that is missing, and what was found instead. */
export interface Missing {
  need: Need
  message: string
}

/**
 * Returns the environment to build in. If tools are missing that cannot be obtained otherwise, ends the script with a
 * list of them and the one command that installs all. libjpeg-turbo may be missing: then sharp decodes JPEGs, with the
 * same result.
 */
export function prepareToolchain(): NodeJS.ProcessEnv {
  const env = { ...process.env }
  const missing = [checkCompiler(), checkCMake(env), checkMake(env), checkLibjpeg(env)].filter(
    it => it !== null,
  )
  if (missing.some(({ need }) => need === 'compiler')) stop(missing)

  if (missing.some(({ need }) => need === 'cmake' || need === 'make')) {
    const packages = ['cmake', 'ninja'].map(tool => `${tool}-runtime-${process.platform}-${process.arch}`)
    const directories = packages.map(name => join(TOOLS, 'node_modules', name, 'bin'))
    if (!directories.every(existsSync))
      install('CMake and Ninja', 'npm', [
        'ci',
        '--prefix',
        TOOLS,
        '--ignore-scripts',
        '--no-audit',
        '--no-fund',
      ])
    env.PATH = [...directories, env.PATH].join(delimiter)
  }
  if (missing.some(({ need }) => need === 'libjpeg')) {
    const target = join(TOOLS, 'libjpeg')
    // The wheel contains a static library and its headers, and no Python code.
    if (!existsSync(target))
      install('libjpeg-turbo', 'python3', [
        ...['-m', 'pip', 'install', '--quiet', '--target', target, '--no-deps', '--only-binary', ':all:'],
        ...['--ignore-requires-python', '--require-hashes', '--requirement', join(TOOLS, 'libjpeg.txt')],
      ])
    const prefix = join(target, 'libjpeg/install')
    env.CMAKE_PREFIX_PATH = [prefix, env.CMAKE_PREFIX_PATH].filter(Boolean).join(delimiter)
    env.CPATH = [join(prefix, 'include'), env.CPATH].filter(Boolean).join(delimiter)
  }

  const still = [checkCMake(env), checkMake(env)].filter(it => it !== null)
  const libjpeg = checkLibjpeg(env)
  if (still.length > 0) stop([...still, libjpeg].filter(it => it !== null))
  if (libjpeg !== null) {
    note(
      `${libjpeg.message} The addon is built without it, and sharp decodes JPEGs, to the same pixels but more slowly.`,
    )
    note(remedy([libjpeg]))
  }
  return env
}

/** Returns the one command that installs all of these on the system that /etc/os-release describes. */
export function installCommand(
  needs: readonly Need[],
  platform: string = process.platform,
  osRelease = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '',
): string | null {
  const ids = [...osRelease.matchAll(/^ID(?:_LIKE)?="?([^"\n]*)/gm)].flatMap(([, value]) => value!.split(' '))
  const system = platform === 'darwin' ? 'darwin' : Object.keys(SYSTEMS).find(id => ids.includes(id))
  if (system === undefined) return null
  const { command, packages } = SYSTEMS[system]!
  const names = needs.flatMap(need => packages[need] ?? [])
  const tools = names.length > 0 ? [`${command} ${names.join(' ')}`] : []
  if (system === 'darwin' && needs.includes('compiler')) tools.unshift('xcode-select --install')
  return tools.join(' && ')
}

const SYSTEMS: { [id: string]: { command: string; packages: { [need in Need]?: string } } } = {
  ubuntu: {
    command: 'apt-get install --yes',
    packages: { compiler: 'g++', cmake: 'cmake', make: 'make', libjpeg: 'libjpeg-turbo8-dev' },
  },
  debian: {
    command: 'apt-get install --yes',
    packages: { compiler: 'g++', cmake: 'cmake', make: 'make', libjpeg: 'libjpeg62-turbo-dev' },
  },
  fedora: {
    command: 'dnf install --assumeyes',
    packages: {
      compiler: 'gcc-c++',
      cmake: 'cmake',
      make: 'make',
      libjpeg: 'libjpeg-turbo-devel libjpeg-turbo-static',
    },
  },
  alpine: {
    command: 'apk add',
    packages: {
      compiler: 'g++',
      cmake: 'cmake',
      make: 'make',
      libjpeg: 'libjpeg-turbo-dev libjpeg-turbo-static',
    },
  },
  darwin: { command: 'brew install', packages: { cmake: 'cmake', make: 'ninja', libjpeg: 'jpeg-turbo' } },
}

function stop(missing: readonly Missing[]): never {
  fail('The addon cannot be built:', ...missing.map(({ message }) => `  ${message}`), remedy(missing))
}

function remedy(missing: readonly Missing[]): string {
  const command = installCommand(missing.map(({ need }) => need))
  return command === null
    ? 'Install it with the package manager of this system.'
    : `To install it, run: ${command}`
}

function checkCMake(env: NodeJS.ProcessEnv): Missing | null {
  const { stdout } = spawnSync('cmake', ['--version'], { env, encoding: 'utf8' })
  const found = /version (\d+)\.(\d+)/.exec(stdout ?? '')
  const [major, minor] = found?.slice(1).map(Number) ?? [0, 0]
  if (major! * 1000 + minor! >= CMAKE[0] * 1000 + CMAKE[1]) return null
  return {
    need: 'cmake',
    message: `CMake ${CMAKE.join('.')} or newer is needed; found ${found ? `${major}.${minor}` : 'none'}.`,
  }
}

function checkMake(env: NodeJS.ProcessEnv): Missing | null {
  if (['ninja', 'make'].some(tool => spawnSync(tool, ['--version'], { env }).status === 0)) return null
  return { need: 'make', message: 'make or Ninja is needed; found neither.' }
}

// CMake's own order
const compilers = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++']

function compile(program: string, env: NodeJS.ProcessEnv) {
  const compiler = compilers.find(name => spawnSync(name, ['--version'], { env }).status === 0)
  if (compiler === undefined) return { status: null, stderr: `found no ${compilers.join(', ')}.` }
  const options = ['-std=c++20', '-x', 'c++', '-fsyntax-only', '-']
  const { status, stderr } = spawnSync(compiler, options, { env, input: program, encoding: 'utf8' })
  return { status, stderr: `${compiler} is none:\n${stderr}` }
}

function checkCompiler(): Missing | null {
  const program = '#include <concepts>\nstatic_assert(std::same_as<int, int> && __cplusplus >= 202002L);\n'
  const { status, stderr } = compile(program, process.env)
  if (status === 0) return null
  return {
    need: 'compiler',
    message: `A C++20 compiler (such as g++ 12; or name one in CXX) is needed; ${stderr}`,
  }
}

function checkLibjpeg(env: NodeJS.ProcessEnv): Missing | null {
  const program = '#include <cstdio>\n#include <jpeglib.h>\nint turbo = JCS_EXTENSIONS;\n'
  if (compile(program, env).status === 0) return null
  return { need: 'libjpeg', message: 'libjpeg-turbo was not found (jpeglib.h).' }
}

/** Runs an installer in the cache and shows its error. The caller looks for the result afterwards. */
function install(what: string, program: string, args: readonly string[]): void {
  note(`installing ${what} into ${TOOLS}`)
  cpSync('scripts/tools', TOOLS, { recursive: true })
  const { status, stderr, error } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) note(`  ${error?.message ?? stderr.trim().split('\n').slice(-3).join('\n  ')}`)
}
