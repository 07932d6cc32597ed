// Builds the addon with CMake: build/Release/visiontorch.node. Brings LibTorch into the user's cache first if need be.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { ensureLibTorch } from './libtorch.js'
import { checkToolchain } from './toolchain.js'

checkToolchain()
const libtorch = await ensureLibTorch()
if (configuredFor() !== libtorch) cmake('configure', `--CDLIBTORCH=${libtorch}`)
cmake('build', '--parallel', String(availableParallelism()))

/** The LibTorch that build/ was configured for. */
function configuredFor(): string | undefined {
  const cache = 'build/CMakeCache.txt'
  return existsSync(cache) ? /^LIBTORCH:PATH=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1] : undefined
}

function cmake(...args: string[]): void {
  const { status } = spawnSync('node_modules/.bin/cmake-js', [...args, '--log-level', 'warn'], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(1)
}
