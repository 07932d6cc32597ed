import type { ScheduleOptions } from './schedule.js'

// `preset: 'seed'`: the recipe of the classification platform that visiontorch re-creates (the last version of
// github.com/bubbliiiing/classification-pytorch): two phases, first with the backbone frozen, with learning rates
// scaled by the batch size, a quadratic warm-up and a flat end, stepped every epoch. Two faults are not repeated:
// weight decay reaches SGD, and frozen batch norms keep their statistics.

/** What the preset changes of the defaults. A function makes a default of the options before it. */
export const seedDefaults: Readonly<Record<string, unknown>> = {
  epochs: 200,
  learningRate: 0.01,
  minLearningRate: ({ learningRate }: { learningRate: number }) => learningRate * 0.01,
  freezeEpochs: ({ epochs }: { epochs: number }) => Math.floor(epochs / 4),
  augmentation: 'autoaugment',
  monitor: 'loss',
  saveEvery: 10,
}

export const seedOptimizers = {
  sgd: { momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
  adam: { weightDecay: 5e-4 },
  adamw: { weightDecay: 5e-4 },
} as const

const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high)

/** The learning rate of `epoch` (from 0). `step` is the platform's step schedule; every other name is its cosine. */
export function seedLearningRate(options: ScheduleOptions, epoch: number): number {
  const [low, high] = options.optimizer.name === 'sgd' ? [5e-4, 1e-1] : [1e-4, 1e-3]
  const frozen = epoch < options.freezeEpochs
  const scale = (frozen ? options.freezeBatchSize : options.batchSize) / 64
  const base = frozen ? options.freezeLearningRate : options.learningRate
  const lr = clamp(scale * base, low, high)
  const min = clamp(scale * options.minLearningRate, low * 1e-2, high * 1e-2)
  const total = options.epochs
  if (options.schedule.name === 'step') {
    const decay = (min / lr) ** (1 / 9)
    return lr * decay ** Math.floor(epoch / (total / 10))
  }
  const warmup = clamp(0.05 * total, 1, 3)
  const flat = clamp(0.05 * total, 1, 15)
  if (epoch <= warmup) {
    const start = Math.max(0.1 * lr, 1e-6)
    return start + (lr - start) * (epoch / warmup) ** 2
  }
  if (epoch >= total - flat) return min
  return min + 0.5 * (lr - min) * (1 + Math.cos((Math.PI * (epoch - warmup)) / (total - warmup - flat)))
}
