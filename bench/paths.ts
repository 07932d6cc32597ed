// Where the peers and what they load lie.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { cacheDirectory } from '../lib/libtorch/installation.js'

export const folder = join(cacheDirectory(), '../bench')
/** Python packages beside those of the tests' reference environment. */
export const pythonPackages = join(folder, 'python')
/** And the servers, which come with many packages of their own. */
export const serverPackages = join(folder, 'python-serve')
export const noise = join(folder, 'noise.f32')
export const photo = join(folder, 'photo.jpg')
export const weightsOf = (file: string) => join(folder, `${file}.pth`)

export const root = join(import.meta.dirname, '..')
let interpreter: string | undefined

/** The interpreter of the tests' reference environment: the same LibTorch. */
export function python(): string {
  interpreter ??= execFileSync('npm', ['run', '--silent', 'reference:python'], {
    encoding: 'utf8',
    cwd: root,
  }).trim()
  return interpreter
}

/** A peer's program as one JavaScript file beside dist/, so that no compiler runs in what is measured. */
export const bundled = (name: string) => join(root, 'build/bench', `${name}.mjs`)
