// Builds the addon with CMake: build/Release/visiontorch.node. Brings LibTorch into the user's cache first if need be.
import { buildAddon } from './cmake.js'
import { ensureLibTorch } from './libtorch.js'
import { prepareToolchain } from './toolchain.js'

const env = prepareToolchain()
buildAddon(await ensureLibTorch(), env)
