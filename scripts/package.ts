// Builds the packages that a user installs into dist-packages/, and checks their sizes: `visiontorch` (JavaScript, types,
// the addons) and LibTorch for each platform.
//   npm run package                           for this machine's platform
//   npm run package -- --target linux-arm64   also for another platform, with a cross compiler
//   npm run package -- --target darwin-arm64  also LibTorch for macOS, and the addons in build/darwin-arm64, if any, which
//                                             a Mac has to compile
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatBytes, note, print, table } from '../lib/cli/terminal.js'
import { inspectInstallation, LIBTORCH_VERSION, libraries } from '../lib/libtorch/installation.js'
import { buildAddon, holdsLibjpeg } from './cmake.js'
import { crossLibjpeg, crossLibTorch } from './cross.js'
import { fail } from './fail.js'
import { ensureLibTorch } from './libtorch.js'
import { host, type Target, targetNamed } from './target.js'
import { prepareToolchain } from './toolchain.js'

const OUT = 'dist-packages'
const MEGABYTE = 1e6
const { values } = parseArgs({ options: { target: { type: 'string', multiple: true, default: [] } } })
const targets = [...new Set([host, ...values.target.map(targetNamed)])]
const runtimePackage = (target: Target) => `@visiontorch/libtorch-${target.name}`

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
rmSync(OUT, { recursive: true, force: true })
const env = prepareToolchain()
const libtorch = new Map<Target, string>()
for (const target of targets) {
  const directory = target === host ? await ensureLibTorch() : await crossLibTorch(target)
  libtorch.set(target, directory)
  if (target.tools === null) continue
  buildAddon(directory, target === host ? env : { ...env, CMAKE_PREFIX_PATH: crossLibjpeg(target) }, target)
  if (!holdsLibjpeg(target.out))
    fail(
      `The addon for ${target.name} does not contain libjpeg-turbo, which its users may not have.`,
      `Install the static library, libjpeg.a, remove ${target.out}/, and run again.`,
    )
}
/** The platforms for which there are addons. */
const built = targets.filter(({ out }) => existsSync(join(out, 'Release/visiontorch.node')))
for (const { name, out } of targets.filter(target => !built.includes(target)))
  note(`${out} has no addons, which only a machine of ${name} compiles: packing only LibTorch for it`)
const packages = [
  { tarball: pack(stageVisiontorch()), limit: built.length * 5 * MEGABYTE },
  ...targets.map(target => ({ tarball: pack(stageRuntime(target)), limit: 130 * MEGABYTE })),
]
const sizes = packages.map(({ tarball, limit }) => ({ tarball, limit, size: statSync(tarball).size }))
print(
  table(
    ['package', 'size', 'limit'],
    sizes.map(({ tarball, limit, size }) => [tarball, formatBytes(size), formatBytes(limit)]),
    'lrr',
  ),
)
for (const { tarball, limit, size } of sizes) if (size > limit) fail(`${tarball} is over its limit`)

/** The published package has no install scripts: nothing is built or downloaded on the user's machine. */
function stageVisiontorch(): string {
  const stage = join(OUT, 'visiontorch')
  rmSync('dist', { recursive: true, force: true })
  execFileSync('npm', ['run', '--silent', 'build:ts'], { stdio: 'inherit' })
  for (const file of [
    'dist',
    'weights',
    'docs',
    'examples',
    'README.md',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'SECURITY.md',
    'LICENSE',
  ].filter(existsSync))
    cpSync(file, join(stage, file), { recursive: true })

  for (const target of built) {
    const prebuilds = join(stage, 'prebuilds', target.name)
    cpSync(join(target.out, 'Release'), prebuilds, { recursive: true })
    for (const addon of ['visiontorch.node', 'open-library.node'])
      strip(target, '--strip-all', join(prebuilds, addon))
  }
  const { scripts, devDependencies, gypfile, binary, ...published } = manifest
  const runtimes = built.map(target => [runtimePackage(target), LIBTORCH_VERSION])
  write(stage, { ...published, optionalDependencies: Object.fromEntries(runtimes) })
  return stage
}

function stageRuntime(target: Target): string {
  const stage = join(OUT, basename(runtimePackage(target)))
  const directory = libtorch.get(target)!
  const installation = inspectInstallation(directory, LIBTORCH_VERSION, target)
  mkdirSync(join(stage, 'lib'), { recursive: true })
  for (const library of libraries(installation, target)) {
    const copy = join(stage, 'lib', basename(library))
    cpSync(library, copy)
    // This keeps the symbols that linking needs, which are in .dynsym.
    strip(target, '--strip-unneeded', copy)
  }
  const licenses = join(directory, 'licenses')
  if (!existsSync(licenses))
    fail(`${directory} has no licenses/, which must be shipped with LibTorch. Copy it from PyTorch's wheel.`)
  cpSync(licenses, join(stage, 'licenses'), { recursive: true })
  cpSync('scripts/runtime-package.md', join(stage, 'README.md'))
  cpSync('scripts/runtime-package.cjs', join(stage, 'index.js'))
  writeFileSync(join(stage, 'build-version'), `${installation.version}\n`)
  write(stage, {
    name: runtimePackage(target),
    version: LIBTORCH_VERSION,
    description: `The shared libraries of LibTorch ${LIBTORCH_VERSION} (CPU, ${target.name}) for visiontorch`,
    license: 'SEE LICENSE IN README.md',
    repository: manifest.repository,
    os: [target.os],
    cpu: [target.cpu],
    ...(target.os === 'linux' ? { libc: ['glibc'] } : {}),
    preferUnplugged: true,
    main: 'index.js',
    files: ['lib', 'licenses', 'build-version'],
  })
  return stage
}

/** Libraries for macOS stay as they are: without its code signature, a Mac with an Apple processor does not load one. */
function strip({ os, tools }: Target, option: string, library: string): void {
  if (os !== 'darwin') execFileSync(`${tools}strip`, [option, library])
}

function write(stage: string, manifest: object): void {
  writeFileSync(join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

function pack(stage: string): string {
  const json = execFileSync('npm', ['pack', '--json', '--pack-destination', OUT, `./${stage}`], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [{ filename }] = JSON.parse(json)
  return join(OUT, filename)
}
