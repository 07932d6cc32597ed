// Builds the addon with CMake: build/Release/visiontorch.node. Brings LibTorch into the user's cache first if need be.
import { buildAddon } from './cmake.js'
import { ensureLibTorch } from './libtorch.js'
import { checkToolchain } from './toolchain.js'

checkToolchain()
buildAddon(await ensureLibTorch())
