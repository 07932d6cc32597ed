// Shared by visiontorch's programs, which run on dist/, as users do.
import { createModel, type Model, setThreads } from '../../lib/index.js'
import { type NetworkOptions, native, type TrainerOptions } from '../../lib/native/native.js'
import { job, readNoise } from './serve.js'

setThreads(job.threads)

export const load = (options: NetworkOptions = {}) =>
  createModel(job.network, { weights: job.weights, device: 'cpu', ...options })

/** For training: the peers would draw different numbers. */
export function loadWithoutDropout() {
  const random = ['dropout', 'stochasticDepthProb', 'attentionDropout', 'mlpDropout'] as const
  const family = native()
    .families()
    .find(({ architectures }) => architectures.includes(job.network))!
  return load(Object.fromEntries(random.filter(name => family.options.includes(name)).map(name => [name, 0])))
}

/** Makes a batch of images, by default `job.batch` images of noise, `job.size` pixels high and wide. */
export function noiseBatch(model: Model, images = readNoise()) {
  const { size } = job
  model.preprocessing = { ...model.preprocessing, resize: size, crop: size }
  const batch = model.createBatch(images.length / (3 * size ** 2))
  batch.setTensor(images)
  return batch
}

export const sgd = (): TrainerOptions => ({
  optimizer: { name: 'sgd', momentum: 0.9, dampening: 0, nesterov: false, weightDecay: 0 },
  labelSmoothing: 0,
  classWeights: null,
  clipGradNorm: null,
  ema: null,
  dtype: job.dtype === 'bfloat16' ? 'bfloat16' : 'float32',
})

/** Trains on the same images repeatedly. */
export async function trainingStep(model: Model) {
  const trainer = await native().createTrainer(model.network, sgd())
  const batch = noiseBatch(model)
  const labels = Int32Array.from({ length: job.batch }, (_, i) => i % model.numClasses)
  const options = { learningRate: 0.01, seed: 0, scale: 1, update: true, mixed: null }
  return async () => [(await trainer.step(batch, labels, options)).loss]
}
