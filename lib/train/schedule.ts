import { seedLearningRate } from './preset.js'

// Learning rates, by PyTorch's formulas (torch.optim.lr_scheduler; the combination with a linear warm-up is that of
// torchvision's references/classification/train.py: SequentialLR of LinearLR and the main schedule), stepped every
// update. They are written over fractional epochs, so that phases with different batch sizes share one curve.

export type Schedule =
  | { name: 'cosine' }
  | { name: 'step'; stepSize: number; gamma: number }
  | { name: 'exponential'; gamma: number }
  | { name: 'constant' }

export interface ScheduleOptions {
  preset: 'seed' | null
  schedule: Schedule
  epochs: number
  learningRate: number
  minLearningRate: number
  warmupEpochs: number
  batchSize: number
  freezeEpochs: number
  freezeLearningRate: number
  freezeBatchSize: number
  optimizer: { name: 'sgd' | 'adam' | 'adamw' }
}

/** Where the warm-up begins, as a share of the learning rate: torchvision's `--lr-warmup-decay`. */
const warmupStart = 0.01

/** The learning rate at `epoch` (from 0), `progress` (0 to below 1) through it. */
export function learningRateAt(options: ScheduleOptions, epoch: number, progress: number): number {
  if (options.preset === 'seed') return seedLearningRate(options, epoch)
  const { schedule, warmupEpochs, minLearningRate } = options
  const base = epoch < options.freezeEpochs ? options.freezeLearningRate : options.learningRate
  const at = epoch + progress
  if (at < warmupEpochs) return base * (warmupStart + (1 - warmupStart) * (at / warmupEpochs))
  const t = at - warmupEpochs
  switch (schedule.name) {
    case 'cosine': {
      const half = (1 + Math.cos((Math.PI * t) / (options.epochs - warmupEpochs))) / 2
      return minLearningRate + (base - minLearningRate) * half
    }
    case 'step':
      return Math.max(minLearningRate, base * schedule.gamma ** Math.floor(t / schedule.stepSize))
    case 'exponential':
      return Math.max(minLearningRate, base * schedule.gamma ** t)
    case 'constant':
      return base
  }
}
