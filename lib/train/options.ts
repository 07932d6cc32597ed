import type { Dataset } from '../data/dataset.js'
import type { AugmentationOption } from '../image/augmentation.js'
import { check, invalid, is, refuse } from '../util/is.js'
import { seedDefaults, seedOptimizers } from './preset.js'
import { type OptionRow, optionTable } from './table.js'

/** Options of {@link train}. Every one but `data` has a default. A run that resumes takes over those of before. */
export interface TrainOptions {
  /** A folder of images, `DIR/train/<class>/*.jpg` and `DIR/val/<class>/*.jpg`, or a data set that was opened before. */
  data?: string | Dataset
  /** `'seed'`: other defaults, and the learning rates of the platform that inspired visiontorch. Default null. */
  preset?: 'seed' | null
  /** Passes over the training images. Default 20. */
  epochs?: number
  /** Images a step. Default 32. An explicit one may not exceed the training set. */
  batchSize?: number
  /** Default `'sgd'` with momentum 0.9 and weight decay 1e-4. The names and defaults are PyTorch's otherwise. */
  optimizer?:
    | 'sgd'
    | 'adam'
    | 'adamw'
    | { name: 'sgd'; momentum?: number; dampening?: number; nesterov?: boolean; weightDecay?: number }
    | { name: 'adam' | 'adamw'; betas?: [number, number]; eps?: number; weightDecay?: number }
  /** The highest learning rate. Default 0.01 for SGD, 0.001 for Adam and AdamW. */
  learningRate?: number
  /** Where the cosine ends, and the lowest that the other schedules reach. Default 0. */
  minLearningRate?: number
  /** Stepped every update. `stepSize` is in epochs (default 10), `gamma` is 0.1 a step or 0.9 an epoch. Default `'cosine'`. */
  schedule?:
    | 'cosine'
    | 'step'
    | 'exponential'
    | 'constant'
    | { name: 'cosine' | 'constant' }
    | { name: 'step'; stepSize?: number; gamma?: number }
    | { name: 'exponential'; gamma?: number }
  /** Linear warm-up from a hundredth of the learning rate, in epochs, fractions allowed. Default 0. */
  warmupEpochs?: number
  /** The first epochs train only the classifier. Default 0. */
  freezeEpochs?: number
  /** Images a step while frozen. Default `batchSize`. */
  freezeBatchSize?: number
  /** The highest learning rate while frozen. Default `learningRate`. */
  freezeLearningRate?: number
  /** While frozen, batch norms use their statistics (`'eval'`), or the batch's, and go on averaging them. Default `'eval'`. */
  frozenBatchNorm?: 'eval' | 'train'
  /** The share of the target that is spread over all classes, 0 to below 1. Default 0. */
  labelSmoothing?: number
  /** Weights of the classes in the loss. `'balanced'` is scikit-learn's: images / (classes x images of the class). Default null. */
  classWeights?: 'balanced' | readonly number[] | null
  /** What is done to training images. Default `'standard'`: random resized crop and horizontal flip. */
  augmentation?: AugmentationOption
  /** How images of another shape are made square. Default: the model's, which is `'crop'`. */
  resize?: 'crop' | 'pad' | 'squish' | null
  /** The side of the square that the network sees, in pixels, 32 to 4096. Default: the model's. */
  inputSize?: number | null
  /**
   * `'bfloat16'`: forward and backward pass, with float32 master weights; on a CPU that does not multiply it
   * (`runtimeInfo().bfloat16`), float32 all through. Default `'float32'`.
   */
  dtype?: 'float32' | 'bfloat16'
  /** Largest norm of all gradients together. Default null: not clipped. */
  clipGradNorm?: number | null
  /** Decay of a moving average of the weights, which is then evaluated and saved as best.pth; 0 to below 1. Default null. */
  ema?: number | null
  /** Batches whose gradients make one update, as one larger batch would. Default 1. */
  gradientAccumulation?: number
  /** Epochs without a better one by `monitor`, after which training ends. Default null: all epochs are trained. */
  earlyStopping?: number | null
  /** The validation figure by which the best epoch is chosen. Default `'top1'`. */
  monitor?: 'top1' | 'top5' | 'loss'
  /** Also keep a checkpoint every so many epochs, `epoch-0010.pth`. Default null. */
  saveEvery?: number | null
  /** How many of those to keep, the newest. Default null: all. */
  keep?: number | null
  /** Continue from the directory's last.pth (true), or from a checkpoint. Default false. */
  resume?: boolean | string
  /** Of every random choice: order, augmentation, dropout. Default 0. */
  seed?: number
  /** Keep decoded images in memory, or in the user's cache folder. Default `'none'`. */
  cache?: 'none' | 'memory' | 'disk'
  /** Images decoded at once. Default: the number of cores, at most 8. */
  workers?: number
  /** An image that cannot be decoded ends the run, or is left out with a warning. Default `'stop'`. */
  onUnreadable?: 'stop' | 'skip'
  /** At the end, write report.html, results.png and confusion_matrix.png. Default true. */
  report?: boolean
  /** Also write TensorBoard event files. Default false. */
  tensorboard?: boolean
  /** Where the files of the run go. Default `runs/<architecture>-<n>`. */
  directory?: string | null
  /** Stops the run: it finishes the step, saves last.pth and rejects with an `AbortError`. */
  signal?: AbortSignal
}

/** Every option with its value, but for those that are no plain values. */
export type ResolvedTrainOptions = {
  [Name in keyof typeof optionTable]: ReturnType<(typeof optionTable)[Name]['kind']['check']>
}

/** @throws ERR_INVALID_ARGUMENT for an unknown option, a value out of its range, or values that contradict. */
export function resolveOptions(options: TrainOptions): ResolvedTrainOptions {
  if (!is.object(options)) throw invalid('options', 'an object with data and training options', options)
  check.options('options', options, ['data', 'signal', ...Object.keys(optionTable)])
  const given: Record<string, unknown> = { ...options }
  const seeded = given.preset === 'seed'
  if (seeded) given.optimizer = seedOptimizer(given.optimizer)
  const resolved: Record<string, unknown> = {}
  for (const [name, row] of Object.entries(optionTable)) {
    const preset = seeded ? seedDefaults[name] : undefined
    const fallback: unknown = preset ?? row.default
    const value = given[name] ?? (typeof fallback === 'function' ? fallback(resolved) : fallback)
    resolved[name] = row.kind.check(name, given[name] === null ? null : value)
  }
  contradictions(resolved as ResolvedTrainOptions)
  return resolved as ResolvedTrainOptions
}

/** @internal The names of the options that differ from what they would be if nothing was given. */
export function differingOptions(options: Readonly<Record<string, unknown>>): string[] {
  const isDefault = (name: string, value: unknown): boolean => {
    const row = (optionTable as Record<string, OptionRow<unknown>>)[name]
    const fallback = typeof row?.default === 'function' ? row.default(options as never) : row?.default
    return JSON.stringify(value) === JSON.stringify(fallback)
  }
  return Object.entries(options).flatMap(([name, value]) => (isDefault(name, value) ? [] : [name]))
}

function seedOptimizer(given: unknown): unknown {
  const chosen = is.object(given) ? given : { name: given ?? 'sgd' }
  const defaults = seedOptimizers[chosen.name as keyof typeof seedOptimizers]
  return defaults === undefined ? given : { ...defaults, ...chosen }
}

function contradictions(options: ResolvedTrainOptions): void {
  const { optimizer, epochs, warmupEpochs, freezeEpochs, learningRate, minLearningRate, keep, saveEvery } =
    options
  if (warmupEpochs > 0 && warmupEpochs >= epochs) {
    throw refuse(
      `warmupEpochs: expected less than epochs (${epochs}), got ${warmupEpochs}`,
      'warmupEpochs',
      'epochs',
    )
  }
  if (freezeEpochs > epochs) {
    throw refuse(
      `freezeEpochs: expected at most epochs (${epochs}), got ${freezeEpochs}`,
      'freezeEpochs',
      'epochs',
    )
  }
  if (minLearningRate > learningRate) {
    throw refuse(
      `minLearningRate: expected at most learningRate (${learningRate}), got ${minLearningRate}`,
      'minLearningRate',
      'learningRate',
    )
  }
  if (
    optimizer.name === 'sgd' &&
    optimizer.nesterov &&
    (optimizer.momentum === 0 || optimizer.dampening > 0)
  ) {
    throw refuse('optimizer.nesterov: expected a momentum above 0 and no dampening with it', 'optimizer')
  }
  if (keep !== null && saveEvery === null) {
    throw refuse(
      'keep: expected saveEvery as well: keep counts the checkpoints that saveEvery writes',
      'keep',
      'saveEvery',
    )
  }
}
