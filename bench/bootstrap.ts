// Installs the peers into the user's cache, where Python then writes the files that all of them load.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import type { Architecture } from '../lib/model/architectures.js'
import {
  folder,
  graphOf,
  noise,
  photo,
  python,
  pythonPackages,
  root,
  serverPackages,
  weightsOf,
} from './paths.js'
import { once } from './peer.js'

const ORT = 'onnxruntime-node@1.30.0'
// Users of ONNX Runtime decode and resize with it.
const SHARP = 'sharp@0.35'
const TFJS = '4.22.0'
const ONNX = ['onnx==1.22.0', 'ml_dtypes', 'protobuf']
// The runtime of openvino-node, whose install script would download it from another host.
const OPENVINO = ['openvino==2026.4.1', 'openvino-telemetry']
const SERVERS = ['fastapi==0.165.0', 'uvicorn==0.54.0', 'litserve==0.2.19', 'python-multipart==0.0.34']

export async function bootstrap(
  networks: readonly Architecture[],
  {
    threads,
    tfjs,
    servers,
    quantized,
  }: { threads: number; tfjs: boolean; servers: boolean; quantized: boolean },
): Promise<void> {
  mkdirSync(folder, { recursive: true })
  installOnnxRuntime()
  installPython('onnx', ONNX)
  installPython('openvino', OPENVINO)
  if (tfjs) installTensorFlow()
  if (servers) installServers()
  await bundle()
  for (const network of networks) {
    const files = [noise, photo, weightsOf(network), graphOf(network)]
    if (network === 'vgg16') files.push(weightsOf('vgg16.legacy'), weightsOf('vgg16.odd'))
    if (!files.every(existsSync)) {
      note(`writing ${weightsOf(network)}`)
      await once('stock', { work: 'prepare', network, threads })
    }
    if (!quantized) continue
    const task = { work: 'quantize', network, threads } as const
    const own = weightsOf(`${network}.int8`)
    const others = graphOf(`${network}.static`)
    if (!existsSync(own)) {
      note(`writing ${own}`)
      await once('visiontorch', task)
    }
    if (!existsSync(others)) {
      note(`writing ${others}`)
      await once('stock', task)
    }
  }
}

function installOnnxRuntime(): void {
  const installed = (name: string) => existsSync(join(folder, 'ort/node_modules', name))
  if (installed('onnxruntime-node') && installed('sharp')) return
  note(`installing ${ORT} into ${folder}`)
  // Its install script would download a CUDA build.
  const packages = [ORT, SHARP]
  execFileSync('npm', [
    'install',
    '--prefix',
    join(folder, 'ort'),
    '--ignore-scripts',
    '--no-save',
    ...packages,
  ])
}

function installPython(name: string, packages: readonly string[]): void {
  if (existsSync(join(pythonPackages, name))) return
  note(`installing ${packages[0]} into ${folder}`)
  const install = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--upgrade', '--target', pythonPackages]
  execFileSync(python(), [...install, ...packages])
}

function installServers(): void {
  if (existsSync(join(serverPackages, 'litserve'))) return
  note(`installing ${SERVERS.join(', ')} into ${folder}`)
  execFileSync(python(), ['-m', 'pip', 'install', '--quiet', '--target', serverPackages, ...SERVERS])
}

/** Whether a package of TensorFlow.js is installed: `node`, `core`, `backend-wasm`. */
export const hasTensorFlow = (name: string) =>
  existsSync(join(folder, 'tfjs/node_modules/@tensorflow', `tfjs-${name}`))

function installTensorFlow(): void {
  if (hasTensorFlow('node')) return
  const install = (...names: string[]) => {
    const packages = names.map(name => `@tensorflow/tfjs-${name}@${TFJS}`)
    note(`installing ${packages.join(', ')} into ${folder}`)
    const prefix = join(folder, 'tfjs')
    execFileSync('npm', ['install', '--prefix', prefix, '--no-save', ...packages], { stdio: 'ignore' })
  }
  try {
    install('node')
  } catch {
    note('tfjs-node: not measured: its library could not be downloaded')
    if (!hasTensorFlow('backend-wasm')) install('core', 'backend-wasm')
  }
}

async function bundle(): Promise<void> {
  execFileSync('npm', ['run', '--silent', 'build:ts'], { cwd: root, stdio: 'inherit' })
  const { build } = await import('esbuild')
  const programs = (name: string) =>
    readdirSync(join(import.meta.dirname, 'peers', name)).map(file => `bench/peers/${name}/${file}`)
  await build({
    absWorkingDir: root,
    entryPoints: [...programs('visiontorch'), ...programs('onnxruntime'), ...programs('tfjs')],
    outbase: 'bench/peers',
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
}
