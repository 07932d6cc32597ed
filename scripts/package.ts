// Builds the two packages that a user installs into dist-packages/, and checks their sizes:
// `visiontorch` (JavaScript, types, the addon) and the platform's LibTorch.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import prebuildify from 'prebuildify'
import { formatBytes, print, table } from '../lib/cli/terminal.js'
import {
  inspectInstallation,
  LIBTORCH_VERSION,
  libraries,
  RUNTIME_PACKAGE,
} from '../lib/loader/installation.js'
import { fail } from './fail.js'
import { ensureLibTorch } from './libtorch.js'

const OUT = 'dist-packages'
const MEGABYTE = 1e6
const platform = { os: [process.platform], cpu: [process.arch], libc: ['glibc'] }

const manifest = JSON.parse(readFileSync('package.json', 'utf8'))
rmSync(OUT, { recursive: true, force: true })
const libtorch = await ensureLibTorch()
const packages = [
  { tarball: pack(await stageVisiontorch()), limit: 5 * MEGABYTE },
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
async function stageVisiontorch(): Promise<string> {
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
    'LICENSE',
  ].filter(existsSync))
    cpSync(file, join(stage, file), { recursive: true })

  await promisify(prebuildify)({
    targets: [],
    napi: true,
    name: 'visiontorch',
    nodeGyp: join(process.cwd(), 'scripts/node-gyp'),
    out: stage,
    strip: true,
  })
  const prebuilds = join(stage, 'prebuilds', `${process.platform}-${process.arch}`)
  cpSync('build/Release/libtorch-version.txt', join(prebuilds, 'libtorch-version.txt'))
  // prebuildify moves the addon out of build/: link it again.
  execFileSync('npm', ['run', '--silent', 'build:native'])
  const dynamic = execFileSync('readelf', ['--dynamic', 'build/Release/visiontorch.node'], {
    encoding: 'utf8',
  })
  if (/NEEDED.*libjpeg/.test(dynamic))
    fail(
      'The addon needs a libjpeg of its user, who may have none.',
      'Build it where libjpeg.a is, as on Debian and Ubuntu.',
    )

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
  writeFileSync(join(stage, 'build-version'), `${installation.version}\n`)
  write(stage, {
    name: RUNTIME_PACKAGE,
    version: LIBTORCH_VERSION,
    description: `The shared libraries of LibTorch ${LIBTORCH_VERSION} (CPU, ${process.platform}-${process.arch}) for visiontorch`,
    license: 'SEE LICENSE IN README.md',
    repository: manifest.repository,
    ...platform,
    preferUnplugged: true,
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
