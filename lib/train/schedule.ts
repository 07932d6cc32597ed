import type { OptimizerName } from './optimizers.js'
import type { ResolvedTrainOptions } from './table.js'

// Learning rates by PyTorch's formulas (torch.optim.lr_scheduler), applied at every update. A linear warm-up is combined
// with them as in torchvision's references/classification/train.py: SequentialLR of LinearLR and the main schedule. They
// are functions of fractional epochs, so that phases with different batch sizes share one curve.

export type ScheduleOptions = Pick<
  ResolvedTrainOptions,
  | 'preset'
  | 'schedule'
  | 'epochs'
  | 'learningRate'
  | 'minLearningRate'
  | 'warmupEpochs'
  | 'batchSize'
  | 'freezeEpochs'
  | 'freezeLearningRate'
  | 'freezeBatchSize'
> & { optimizer: { name: OptimizerName } }

/** The warm-up begins at this share of the learning rate, as torchvision's `--lr-warmup-decay`. */
const warmupStart = 0.01

/** The learning rate in `epoch` (counted from 0) when the share `progress` of it (at least 0, below 1) is done. */
export function learningRateAt(options: ScheduleOptions, epoch: number, progress: number): number {
  if (options.preset === 'classification-pytorch') return classificationPytorchRate(options, epoch)
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

const clamp = (value: number, low: number, high: number) => Math.min(Math.max(value, low), high)

/**
 * The learning rate of the preset in `epoch` (counted from 0). `step` means the platform's step schedule; every other
 * name means its cosine.
 */
function classificationPytorchRate(options: ScheduleOptions, epoch: number): number {
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
