import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { host } from './target.js'

/**
 * Builds the addons against this LibTorch, incrementally: `<out>/Release/visiontorch.node`.
 * @param env the environment that scripts/toolchain.ts prepared
 */
export function buildAddon(
  libtorch: string,
  env: NodeJS.ProcessEnv,
  { out, cmake: options, cpu }: { out: string; cmake: readonly string[]; cpu: string } = host,
): void {
  const cmake = (...args: string[]) => {
    const command = [...args, '--out', out, '--arch', cpu, '--log-level', 'warn']
    const { status } = spawnSync('node_modules/.bin/cmake-js', command, { stdio: 'inherit', env })
    if (status !== 0) process.exit(1)
  }
  discardIfMoved(out)
  if (cached(out, 'LIBTORCH') !== libtorch || !builtWithLibjpeg(out))
    cmake('configure', `--CDLIBTORCH=${libtorch}`, ...options)
  cmake('build', '--parallel', String(availableParallelism()))
}

/** Removes a build directory that came with a copied or moved checkout, because it would compile the old one. */
export function discardIfMoved(out: string): void {
  const home = cached(out, 'CMAKE_HOME_DIRECTORY')
  if (home === undefined || (existsSync(home) && realpathSync(home) === realpathSync('.'))) return
  note(`${out} was made for ${home}: building again`)
  rmSync(out, { recursive: true })
}

/** Whether the addon decodes JPEGs with libjpeg-turbo. */
export const builtWithLibjpeg = (out = 'build') => !/^$|NOTFOUND$/.test(cached(out, 'JPEG') ?? '')

/** Whether it contains libjpeg-turbo, so that its users need not install it. */
export const holdsLibjpeg = (out = 'build') => cached(out, 'JPEG')?.endsWith('.a') ?? false

/** Returns an entry of CMake's cache. */
function cached(out: string, entry: string): string | undefined {
  const cache = join(out, 'CMakeCache.txt')
  if (!existsSync(cache)) return undefined
  return new RegExp(`^${entry}:\\w+=(.*)$`, 'm').exec(readFileSync(cache, 'utf8'))?.[1]
}
