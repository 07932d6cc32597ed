// The paths of the peers and of the files that they load.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { cacheDirectory } from '../lib/libtorch/installation.js'

export const folder = join(cacheDirectory(), '../bench')
/** Python packages in addition to those of the tests' reference environment. */
export const pythonPackages = join(folder, 'python')
/** The servers, which need many packages of their own. */
export const serverPackages = join(folder, 'python-serve')
export const noise = join(folder, 'noise.f32')
export const photo = join(folder, 'photo.jpg')
export const weightsOf = (file: string) => join(folder, `${file}.pth`)
/** Of a network, or of one in 8 bits: `resnet50.int8` by visiontorch, `resnet50.static` by ONNX Runtime. */
export const graphOf = (file: string) => join(folder, `${file}.onnx`)

export const root = join(import.meta.dirname, '..')
let interpreter: string | undefined

/** The interpreter of the tests' reference environment, which has the same LibTorch. */
export function python(): string {
  interpreter ??= execFileSync('npm', ['run', '--silent', 'reference:python'], {
    encoding: 'utf8',
    cwd: root,
  }).trim()
  return interpreter
}

/** A peer's program as one JavaScript file next to dist/, so that no compiler runs during a measurement. */
export const bundled = (name: string) => join(root, 'build/bench', `${name}.mjs`)
