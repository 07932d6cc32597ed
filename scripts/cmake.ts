import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

/** Builds the addon against this LibTorch: `<out>/Release/visiontorch.node`. What is up to date is left alone. */
export function buildAddon(libtorch: string, out = 'build'): void {
  if (configuredFor(out) !== libtorch) cmake('configure', '--out', out, `--CDLIBTORCH=${libtorch}`)
  cmake('build', '--out', out, '--parallel', String(availableParallelism()))
}

/** The LibTorch that a build directory was configured for. */
function configuredFor(out: string): string | undefined {
  const cache = join(out, 'CMakeCache.txt')
  return existsSync(cache) ? /^LIBTORCH:PATH=(.*)$/m.exec(readFileSync(cache, 'utf8'))?.[1] : undefined
}

function cmake(...args: string[]): void {
  const { status } = spawnSync('node_modules/.bin/cmake-js', [...args, '--log-level', 'warn'], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(1)
}
