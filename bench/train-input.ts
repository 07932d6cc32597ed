// Does training wait for its images? Steps on JPEG files (decoded, augmented, loaded ahead) beside the same steps on a
// batch that is in memory already, in turns, the best of each.
//
//   npx tsx bench/train-input.ts [resnet50] [batch size] [rounds]
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import type { Sample } from '../lib/data/dataset.js'
import { Loader } from '../lib/data/loader.js'
import { checkAugmentation } from '../lib/image/augmentation.js'
import { decode } from '../lib/image/decode.js'
import { type Architecture, createModel } from '../lib/index.js'
import { native } from '../lib/native.js'
import { trainingBatches } from '../lib/train/feed.js'
import { epochUpdates } from '../lib/train/sampler.js'

const [architecture = 'resnet50', size = '8', rounds = '5'] = process.argv.slice(2)
const batchSize = Number(size)
const steps = 4

const directory = await mkdtemp(join(tmpdir(), 'visiontorch-bench-'))
const samples = await drawPhotographs(steps * batchSize)
const model = await createModel(architecture as Architecture, { numClasses: 10 })
const trainer = await native().createTrainer(model.network, {
  optimizer: { name: 'sgd', momentum: 0.9, dampening: 0, nesterov: false, weightDecay: 1e-4 },
  labelSmoothing: 0,
  classWeights: null,
  clipGradNorm: null,
  ema: null,
  dtype: 'float32',
})
const createBatch = () => model.createBatch(batchSize)
const workers = availableParallelism()
const loader = new Loader({ samples, createBatch, decode: path => decode(path), workers })
const augmentation = checkAugmentation('augmentation', 'standard')
const step = { learningRate: 1e-4, seed: 0, scale: 1, update: true, mixed: null }

async function fromFiles(epoch: number): Promise<void> {
  const plan = epochUpdates(samples.length, batchSize, 1, 0, epoch).flat()
  const options = { augmentation, preprocessing: model.preprocessing, seed: 0, epoch, first: 0 }
  for await (const { images, labels } of trainingBatches(loader, plan, options)) {
    await trainer.step(images, labels, step)
  }
}

const inMemory = createBatch()
inMemory.setTensor(new Float32Array(batchSize * 3 * 224 * 224).fill(0.5))
const labels = Int32Array.from({ length: batchSize }, (_, i) => i % 10)
async function fromMemory(): Promise<void> {
  for (let i = 0; i < steps; i++) await trainer.step(inMemory, labels, step)
}

const best = { memory: Infinity, files: Infinity }
for (let round = 0; round <= Number(rounds); round++) {
  const seconds = { memory: await time(fromMemory), files: await time(() => fromFiles(round)) }
  if (round === 0) continue // warms up
  best.memory = Math.min(best.memory, seconds.memory)
  best.files = Math.min(best.files, seconds.files)
}
await rm(directory, { recursive: true })

const speed = (seconds: number) => (steps * batchSize) / seconds
console.log(
  `${architecture}, batches of ${batchSize}, 500 x 375 JPEGs, ${native().runtimeInfo().threads} threads`,
)
console.log(`in memory  ${speed(best.memory).toFixed(2)} images/s`)
console.log(
  `from files ${speed(best.files).toFixed(2)} images/s, ${((100 * best.memory) / best.files).toFixed(1)}%`,
)

async function time(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

/** Smooth noise, which JPEG compresses about as a photograph. */
async function drawPhotographs(count: number): Promise<Sample[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const path = join(directory, `${i}.jpg`)
      const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const
      const create = { width: 125, height: 94, channels: 3, background: 'black', noise } as const
      await sharp({ create }).resize(500, 375, { fit: 'fill' }).jpeg({ quality: 90 }).toFile(path)
      return { path, label: i % 10 }
    }),
  )
}
