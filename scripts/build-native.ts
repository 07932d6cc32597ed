// Builds the addon with CMake: build/Release/visiontorch.node. If necessary, it first installs LibTorch in the user's
// cache.
//   npm run build:native                           for this machine
//   npm run build:native -- --target linux-arm64   with a cross compiler, into build/linux-arm64
import { parseArgs } from 'node:util'
import { buildAddon } from './cmake.js'
import { crossLibjpeg, crossLibTorch } from './cross.js'
import { fail } from './fail.js'
import { ensureLibTorch } from './libtorch.js'
import { host, targetNamed } from './target.js'
import { prepareToolchain } from './toolchain.js'

const { values } = parseArgs({ options: { target: { type: 'string' } } })
const target = targetNamed(values.target)
if (target.tools === null)
  fail(`${target.name}: only such a machine compiles for it. To check that it would: npm run check:macos`)
const env = prepareToolchain()
if (target === host) buildAddon(await ensureLibTorch(), env)
else buildAddon(await crossLibTorch(target), { ...env, CMAKE_PREFIX_PATH: crossLibjpeg(target) }, target)
