// `npm run check:macos`: parses and type-checks every file of native/ for a Mac with an Apple processor, with the Clang and
// the system headers that zig carries, against the headers of LibTorch for the Mac. Nothing is linked or run.
import { exec, execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import pLimit from 'p-limit'
import { print } from '../lib/cli/terminal.js'
import { cacheDirectory } from '../lib/libtorch/installation.js'
import { crossLibjpeg, crossLibTorch } from './cross.js'
import { fail } from './fail.js'
import { targetNamed } from './target.js'

/** An entry of the list of commands that CMake writes. */
interface Command {
  directory: string
  command: string
  file: string
}

const target = targetNamed('darwin-arm64')
const out = resolve(target.out, 'check')
const commands = await configure()
const isHeader = ({ file }: Command) => file.includes('cmake_pch')
const sources = commands.filter(command => !isHeader(command))

const errors = await compile(commands.filter(isHeader))
if (errors.length === 0) errors.push(...(await compile(sources, '-fsyntax-only')))
if (errors.length > 0) fail(...errors, `${errors.length} files of native/ do not compile for ${target.name}.`)
print(`${sources.length} files of native/ compile for ${target.name}`)

/** Runs the commands, as many at once as there are cores. Returns what the failed ones printed. */
async function compile(commands: readonly Command[], option = ''): Promise<string[]> {
  const limit = pLimit(availableParallelism())
  const run = ({ command, directory }: Command) =>
    new Promise<string | null>(done =>
      exec(`${command} ${option}`, { cwd: directory, maxBuffer: 1 << 28 }, (error, _, stderr) =>
        done(error && (stderr || error.message)),
      ),
    )
  const outcomes = await Promise.all(commands.map(command => limit(() => run(command))))
  return outcomes.filter(outcome => outcome !== null)
}

/** Configures the build as on a Mac. */
async function configure(): Promise<Command[]> {
  rmSync(out, { recursive: true, force: true })
  mkdirSync(out, { recursive: true })
  const definitions = {
    CMAKE_SYSTEM_NAME: 'Darwin',
    CMAKE_SYSTEM_PROCESSOR: target.cpu,
    CMAKE_CXX_COMPILER: compiler(),
    CMAKE_CXX_COMPILER_WORKS: '1', // it does not link
    CMAKE_PREFIX_PATH: crossLibjpeg(target),
    CMAKE_FIND_ROOT_PATH_MODE_INCLUDE: 'NEVER',
    CMAKE_JS_INC: join(dirname(createRequire(import.meta.url).resolve('node-api-headers')), 'include'),
    LIBTORCH: await crossLibTorch(target),
  }
  const options = Object.entries(definitions).map(([name, value]) => `-D${name}=${value}`)
  execFileSync('cmake', ['-S', '.', '-B', out, ...options], { stdio: ['ignore', 'ignore', 'inherit'] })
  return JSON.parse(readFileSync(join(out, 'compile_commands.json'), 'utf8'))
}

/** A program that is zig's Clang for the Mac. Its options and headers are those that `zig c++ -v` shows. */
function compiler(): string {
  const directory = join(cacheDirectory(), '../build-tools/zig')
  const zig = join(directory, 'ziglang')
  if (!existsSync(zig))
    execFileSync(
      'python3',
      [
        ...['-m', 'pip', 'install', '--quiet', '--target', directory, '--only-binary', ':all:'],
        ...['--require-hashes', '--requirement', 'scripts/tools/zig.txt'],
      ],
      { stdio: ['ignore', 'ignore', 'inherit'] },
    )
  const headers = ['libcxx/include', 'libcxxabi/include', 'include', 'libc/include/any-darwin-any']
  const features = [
    'FILESYSTEM',
    'LOCALIZATION',
    'MONOTONIC_CLOCK',
    'RANDOM_DEVICE',
    'TERMINAL',
    'THREADS',
    'UNICODE',
  ]
  const standardLibrary = {
    ABI_VERSION: '1',
    ABI_NAMESPACE: '__1',
    HARDENING_MODE: '_LIBCPP_HARDENING_MODE_NONE',
    ASSERTION_SEMANTIC_DEFAULT: '_LIBCPP_ASSERTION_SEMANTIC_IGNORE',
    PSTL_BACKEND_SERIAL: '1',
    HAS_MUSL_LIBC: '0',
    HAS_VENDOR_AVAILABILITY_ANNOTATIONS: '0',
    ...Object.fromEntries([...features, 'WIDE_CHARACTERS'].map(name => [`HAS_${name}`, '1'])),
  }
  const options = [
    ...['--target=arm64-apple-macos14.0', '-nostdinc', '-nostdinc++', '-Wno-unused-command-line-argument'],
    ...headers.map(path => `-isystem '${join(zig, 'lib', path)}'`),
    ...Object.entries(standardLibrary).map(([name, value]) => `-D_LIBCPP_${name}=${value}`),
  ]
  const program = join(out, 'clang++')
  writeFileSync(program, `#!/bin/sh\nexec '${join(zig, 'zig')}' clang ${options.join(' ')} "$@"\n`)
  chmodSync(program, 0o755)
  return program
}
