// Checks that folders depend on each other in one direction only: those of native/ by includes, those of lib/ by
// imports, including those of types. biome.json forbids import cycles between single TypeScript files.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** The folders that each folder of native/ may include besides itself. It may list only folders above it. */
const included: Record<string, string[]> = {
  runtime: [],
  kernels: ['runtime'],
  nn: ['runtime'],
  ops: ['kernels', 'nn', 'runtime'],
  autograd: ['ops', 'kernels', 'nn', 'runtime'],
  eager: ['autograd', 'nn', 'runtime'],
  image: ['runtime'],
  checkpoint: ['nn', 'runtime'],
  distributed: ['nn', 'runtime'],
  quantize: ['eager', 'checkpoint', 'nn', 'runtime'],
  infer: ['eager', 'ops', 'nn', 'runtime'],
  onnx: ['infer', 'eager', 'ops', 'nn', 'runtime'],
  train: ['eager', 'checkpoint', 'distributed', 'nn', 'runtime'],
  model: ['train', 'quantize', 'eager', 'onnx', 'infer', 'checkpoint', 'distributed', 'nn', 'runtime'],
  binding: [
    'model',
    'train',
    'quantize',
    'onnx',
    'infer',
    'image',
    'checkpoint',
    'distributed',
    'nn',
    'kernels',
    'runtime',
  ],
}

/** Folders and files of lib/. Each may import only those above it. */
const layers = [
  'util',
  'download',
  'libtorch',
  'native',
  'distributed',
  'image',
  'data',
  'weights',
  'predict',
  'export',
  'model',
  'evaluate',
  'train',
  'report',
  'train.ts',
  'doctor',
  'serve',
  'ui',
  'cli',
  'index.ts',
]

const imported = Object.fromEntries(layers.map((layer, at) => [layer, layers.slice(0, at)]))

const problems = [...listProblems(included), ...nativeProblems(), ...libProblems()]
for (const problem of problems) console.error(problem)
process.exit(problems.length === 0 ? 0 : 1)

function listProblems(allowed: Record<string, string[]>): string[] {
  const folders = Object.keys(allowed)
  return folders.flatMap((folder, at) =>
    allowed[folder]!.filter(other => folders.indexOf(other) >= at).map(
      other => `scripts/check-layers.ts: ${folder} must not list ${other}, which is below it`,
    ),
  )
}

function nativeProblems(): string[] {
  const files = filesOf('native').filter(name => /\/.*\.(cc|h)$/.test(name))
  return check('native', files, included, (_, text) =>
    [...text.matchAll(/^#include "(\w+)\//gm)].map(([, folder]) => folder!),
  )
}

function libProblems(): string[] {
  return check('lib', filesOf('lib'), imported, (name, text) =>
    [...text.matchAll(/(?:from |import |import\()'(\.[^']+)\.js'/g)].map(([, path]) =>
      layerOf(`${relative('lib', join('lib', name, '..', path!))}.ts`),
    ),
  )
}

/** Returns a message for each forbidden dependency of a file. */
function check(
  root: string,
  files: string[],
  allowed: Record<string, string[]>,
  dependencies: (name: string, text: string) => string[],
): string[] {
  return files.flatMap(name => {
    const layer = layerOf(name)
    if (allowed[layer] === undefined) return [`${root}/${name}: add ${layer} to scripts/check-layers.ts`]
    const text = readFileSync(join(root, name), 'utf8')
    return [...new Set(dependencies(name, text))]
      .filter(other => other !== layer && !allowed[layer]!.includes(other))
      .map(other => `${root}/${name}: ${layer} must not depend on ${other}: see scripts/check-layers.ts`)
  })
}

function filesOf(root: string): string[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(name => /\.\w+$/.test(name))
}

function layerOf(name: string): string {
  return name.split('/')[0]!
}
