// Installs the peers into the user's cache, and has Python write the weights there that all of them load.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from '../lib/architectures.js'
import { note } from '../lib/cli/terminal.js'
import { cacheDirectory } from '../lib/loader/installation.js'
import { Peer } from './peer.js'

const ORT = 'onnxruntime-node@1.30.0'
const ONNX = ['onnx==1.22.0', 'ml_dtypes', 'protobuf']

export const folder = join(cacheDirectory(), '../bench')
export const onnxPackages = join(folder, 'onnx')
const root = join(import.meta.dirname, '..')
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

export async function bootstrap(networks: readonly Architecture[], threads: number): Promise<void> {
  mkdirSync(folder, { recursive: true })
  if (!existsSync(join(folder, 'ort/node_modules/onnxruntime-node'))) {
    note(`installing ${ORT} into ${folder}`)
    // Its install script would fetch a CUDA build.
    execFileSync('npm', ['install', '--prefix', join(folder, 'ort'), '--ignore-scripts', '--no-save', ORT])
  }
  if (!existsSync(join(onnxPackages, 'onnx'))) {
    note(`installing ${ONNX[0]} into ${folder}`)
    execFileSync(python(), [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-deps',
      '--target',
      onnxPackages,
      ...ONNX,
    ])
  }
  execFileSync('npm', ['run', '--silent', 'build:ts'], { cwd: root, stdio: 'inherit' })
  const { build } = await import('esbuild')
  await build({
    absWorkingDir: root,
    entryPoints: ['visiontorch', 'onnxruntime'].map(name => `bench/peers/${name}.ts`),
    outdir: 'build/bench',
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    plugins: [
      {
        name: 'dist',
        setup: ({ onResolve }) =>
          onResolve({ filter: /\/lib\// }, ({ path }) => ({
            path: join(root, 'dist', path.replace(/^.*\/lib\//, '')),
            external: true,
          })),
      },
    ],
  })
  for (const network of networks) {
    const weights = join(folder, `${network}.pth`)
    if (existsSync(weights) && existsSync(join(folder, `${network}.onnx`))) continue
    note(`writing ${weights}`)
    const peer = new Peer('stock', { work: 'prepare', network, batch: 0, dtype: 'float32', threads, weights })
    await peer.answer()
    await peer.end()
  }
}
