// npm run quantization-table: trains networks on drawn shapes from random weights, quantises them with the default
// options, and prints the rows of the table in docs/quantization.md. Takes about half an hour on two idle cores.
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command } from 'commander'
import {
  type Architecture,
  type CreateModelOptions,
  createModel,
  evaluate,
  ImageFolder,
  loadModel,
  type Model,
  type TrainOptions,
  train,
} from 'visiontorch'
import { writeShapes } from '../examples/support/shapes.js'
import { note, print } from '../lib/cli/terminal.js'
import { formatShare } from '../lib/util/format.js'

interface Recipe extends TrainOptions {
  network?: CreateModelOptions
}

/** What differs from {@link common}. */
const recipes: Partial<Record<Architecture, Recipe>> = {
  resnet50: { epochs: 6, learningRate: 5e-4, dtype: 'bfloat16' },
  resnet18: { learningRate: 5e-4 },
  vgg16: { epochs: 6, learningRate: 1e-4, inputSize: 32, dtype: 'bfloat16', network: { dropout: 0.2 } },
  mobilenet_v2: { epochs: 20 },
  efficientnet_b0: { epochs: 25, inputSize: 64, network: { stochasticDepthProb: 0, dropout: 0 } },
  mobilenet_v3_large: { epochs: 20 },
  convnext_tiny: { learningRate: 5e-4, network: { stochasticDepthProb: 0 } },
}
const common: TrainOptions = {
  epochs: 10,
  batchSize: 32,
  inputSize: 48,
  optimizer: 'adamw',
  learningRate: 0.002,
  warmupEpochs: 1,
  augmentation: { scale: null, horizontalFlip: 0.5, verticalFlip: 0.5 },
  cache: 'memory',
  report: false,
}

const { directory, networks } = new Command('quantization-table')
  .option(
    '--directory <dir>',
    'where to keep pictures and checkpoints',
    join(tmpdir(), 'visiontorch-quantization'),
  )
  .option('--networks <names...>', 'the networks', Object.keys(recipes))
  .parse()
  .opts<{ directory: string; networks: Architecture[] }>()

const pictures = join(directory, 'shapes')
await mkdir(directory, { recursive: true })
if (!existsSync(pictures)) await writeShapes(pictures, { train: 300, val: 200, heldOut: 0 })
const data = await ImageFolder.open(pictures)

/** The trained network, from an earlier run if there was one. */
async function trained(architecture: Architecture): Promise<Model> {
  const run = join(directory, architecture)
  const checkpoint = join(run, 'best.pth')
  if (!existsSync(checkpoint)) {
    const { network, ...options } = recipes[architecture] ?? {}
    using model = await createModel(architecture, {
      weights: null,
      classes: data.classes,
      seed: 1,
      ...network,
    })
    const { best } = await train(model, { ...common, ...options, data, directory: run })
    note(`${architecture}: ${formatShare(best.top1)} after ${best.epoch} epochs`)
  }
  return loadModel(checkpoint, { device: 'cpu' })
}

async function predictions(model: Model): Promise<{ top1: number; labels: string[] }> {
  const labels: string[] = []
  const { top1 } = await evaluate(model, data, { onPrediction: ({ predicted }) => labels.push(predicted) })
  return { top1, labels }
}

print('| network | float32 | int8 | same class | layers in int8 | in floating point |')
print('|---|---|---|---|---|---|')
for (const architecture of networks) {
  using model = await trained(architecture)
  using quantized = await model.quantize(data)
  const [before, after] = [await predictions(model), await predictions(quantized)]
  const same = before.labels.filter((label, i) => label === after.labels[i]).length / before.labels.length
  const { int8, float } = quantized.quantization!
  const cells = [architecture, ...[before.top1, after.top1, same].map(formatShare), int8.length, float.length]
  print(`| ${cells.join(' | ')} |`)
}
