// Builds the two packages that a user installs into dist-packages/, and checks their sizes:
// `visiontorch` (JavaScript, types, the addon) and the platform's LibTorch.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { formatBytes, print, table } from '../lib/cli/terminal.js'
import {
  inspectInstallation,
  LIBTORCH_VERSION,
  libraries,
  RUNTIME_PACKAGE,
} from '../lib/libtorch/installation.js'
import { buildAddon, holdsLibjpeg } from './cmake.js'
import { fail } from './fail.js'
import { ensureLibTorch } from './libtorch.js'
import { prepareToolchain } from './toolchain.js'

const OUT = 'dist-packages'
const MEGABYTE = 1e6
const platform = { os: [process.platform], cpu: [process.arch], libc: ['glibc'] }

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
rmSync(OUT, { recursive: true, force: true })
const libtorch = await ensureLibTorch()
buildAddon(libtorch, prepareToolchain())
if (!holdsLibjpeg())
  fail(
    'The addon does not hold libjpeg-turbo, of which its users may have none.',
    'Install the static library, libjpeg.a, remove build/, and run again.',
  )
const packages = [
  { tarball: pack(stageVisiontorch()), limit: 5 * MEGABYTE },
  { tarball: pack(stageRuntime()), limit: 130 * MEGABYTE },
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

/** What npm publishes has no scripts: nothing is built or fetched on the user's machine. */
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

  const prebuilds = join(stage, 'prebuilds', `${process.platform}-${process.arch}`)
  cpSync('build/Release', prebuilds, { recursive: true })
  for (const addon of ['visiontorch.node', 'open-library.node'])
    execFileSync('strip', ['--strip-all', join(prebuilds, addon)])
  const { scripts, devDependencies, gypfile, binary, ...published } = manifest
  write(stage, { ...published, optionalDependencies: { [RUNTIME_PACKAGE]: LIBTORCH_VERSION } })
  return stage
}

function stageRuntime(): string {
  const stage = join(OUT, basename(RUNTIME_PACKAGE))
  const installation = inspectInstallation(libtorch, LIBTORCH_VERSION)
  mkdirSync(join(stage, 'lib'), { recursive: true })
  for (const library of libraries(installation)) {
    const copy = join(stage, 'lib', basename(library))
    cpSync(library, copy)
    // The symbols that linking needs are in .dynsym and stay.
    execFileSync('strip', ['--strip-unneeded', copy])
  }
  const licenses = join(libtorch, 'licenses')
  if (!existsSync(licenses))
    fail(`${libtorch} has no licenses/, which must be shipped with LibTorch: take it from PyTorch's wheel.`)
  cpSync(licenses, join(stage, 'licenses'), { recursive: true })
  cpSync('scripts/runtime-package.md', join(stage, 'README.md'))
  cpSync('scripts/runtime-package.cjs', join(stage, 'index.js'))
  writeFileSync(join(stage, 'build-version'), `${installation.version}\n`)
  write(stage, {
    name: RUNTIME_PACKAGE,
    version: LIBTORCH_VERSION,
    description: `The shared libraries of LibTorch ${LIBTORCH_VERSION} (CPU, ${process.platform}-${process.arch}) for visiontorch`,
    license: 'SEE LICENSE IN README.md',
    repository: manifest.repository,
    ...platform,
    preferUnplugged: true,
    main: 'index.js',
    files: ['lib', 'licenses', 'build-version'],
  })
  return stage
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
