// `npm run test:libtorch -- 2.14.1`: builds the addon against another LibTorch, separately from the usual build, and runs
// the tests on it. Further arguments name test files. LibTorch is obtained as in `npm ci`. If there is no CPU build of that
// version, pip installs PyTorch, whose default build is for CUDA, into an environment in the user's cache.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { cacheDirectory, inspectInstallation } from '../lib/libtorch/installation.js'
import { buildAddon } from './cmake.js'
import { fail } from './fail.js'
import { cachedLibTorch, Unavailable } from './libtorch.js'
import { host } from './target.js'
import { prepareToolchain } from './toolchain.js'

const [version, ...tests] = process.argv.slice(2)
if (version === undefined || !/^\d+\.\d+\.\d+$/.test(version))
  fail('Usage: npm run test:libtorch -- VERSION [TEST...], VERSION like 2.14.1')

const toolchain = prepareToolchain()
const cached = await cachedLibTorch(version)
const libtorch = inspectInstallation(
  cached instanceof Unavailable ? pythonEnvironment(version) : cached,
  version,
)
const build = join('build', libtorch.version)
buildAddon(libtorch.directory, toolchain, { ...host, out: build })
note(`testing with LibTorch ${libtorch.version} of ${libtorch.directory}`)
const { status } = spawnSync('npm', ['test', '--', ...tests], {
  stdio: 'inherit',
  // A CUDA build warns on a machine without a device, which the tests of stderr do not expect.
  env: {
    ...process.env,
    NODE_OPTIONS: '--disable-warning=VISIONTORCH_NO_CUDA_DEVICE',
    VISIONTORCH_LIBTORCH: libtorch.directory,
    VISIONTORCH_PREBUILD: resolve(build, 'Release'),
  },
})
process.exit(status ?? 1)

function pythonEnvironment(version: string): string {
  const environment = join(cacheDirectory(), `../torch-${version}`)
  const python = join(environment, 'bin/python')
  if (!existsSync(python)) execFileSync('python3', ['-m', 'venv', environment])
  note(`installing torch ${version} into ${environment}`)
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', `torch==${version}`], { stdio: 'inherit' })
  return environment
}
