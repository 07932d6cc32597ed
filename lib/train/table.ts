import { availableParallelism } from 'node:os'
import { AUGMENTATIONS, type Augmentation, checkAugmentation } from '../image/augmentation.js'
import { check, invalid, is } from '../util/is.js'
import * as kinds from './kinds.js'

// The one table of training options: what train() checks, what `visiontorch train` takes (in kebab case), and what
// --help and the README say.

/** What the defaults of other options depend on; earlier rows of the table. */
interface Earlier {
  batchSize: number
  optimizer: { name: 'sgd' | 'adam' | 'adamw' }
  learningRate: number
}

export interface OptionRow<T> {
  kind: kinds.Kind<T>
  default: T | ((earlier: Earlier) => T)
  /** The default in words, where it is a function. */
  shown?: string
  help: string
  /** A second, shorter name of the flag. */
  alias?: string
}

const row = <T>(
  kind: kinds.Kind<T>,
  fallback: T | ((earlier: Earlier) => T),
  help: string,
  more: { shown?: string; alias?: string } = {},
): OptionRow<T> => ({ kind, default: fallback, help, ...more })

const betas: kinds.Kind<[number, number]> = {
  placeholder: '',
  check(name, value) {
    if (!Array.isArray(value) || value.length !== 2)
      throw invalid(name, 'two numbers from 0 to below 1', value)
    return [kinds.fraction.check(`${name}[0]`, value[0]), kinds.fraction.check(`${name}[1]`, value[1])]
  },
  parse: text => text,
}

const adam = (weightDecay: number) => ({
  betas: [betas, [0.9, 0.999] as [number, number]] as [kinds.Kind<[number, number]>, unknown],
  eps: [kinds.positive, 1e-8] as [kinds.Kind<number>, unknown],
  weightDecay: [kinds.number(0), weightDecay] as [kinds.Kind<number>, unknown],
})

const optimizer = kinds.variant({
  sgd: {
    momentum: [kinds.fraction, 0.9],
    dampening: [kinds.fraction, 0],
    nesterov: [kinds.boolean, false],
    weightDecay: [kinds.number(0), 1e-4],
  },
  adam: adam(0),
  adamw: adam(0.01),
})

const schedule = kinds.variant({
  cosine: {},
  step: { stepSize: [kinds.positive, 10], gamma: [kinds.positive, 0.1] },
  exponential: { gamma: [kinds.positive, 0.9] },
  constant: {},
})

const classWeights: kinds.Kind<'balanced' | number[] | null> = {
  placeholder: '<balanced|w,w,...>',
  check(name, value) {
    if (value === null || value === 'balanced') return value
    if (!Array.isArray(value)) throw invalid(name, "'balanced' or a number for each class", value)
    return value.map((weight, i) => kinds.positive.check(`${name}[${i}]`, weight))
  },
  parse: text => (text === 'balanced' ? text : text === 'none' ? null : text.split(',').map(Number)),
}

const augmentation: kinds.Kind<Augmentation> = {
  placeholder: '<name|key=value,...>',
  check: checkAugmentation,
  parse: text => (text.includes('=') ? kinds.parsePairs(text.split(',')) : text),
}

const resume: kinds.Kind<boolean | string> = {
  placeholder: '[checkpoint]',
  check: (name, value) => (typeof value === 'boolean' ? value : check.string(name, value)),
  parse: text => text,
}

export const optionTable = {
  preset: row(
    kinds.optional(kinds.choice('seed')),
    null,
    "'seed': other defaults, and the learning rates of the classification platform that inspired visiontorch",
  ),
  epochs: row(kinds.integer(1), 20, 'passes over the training images'),
  batchSize: row(kinds.integer(1), 32, 'images a step'),
  optimizer: row(
    optimizer,
    optimizer.check('optimizer', 'sgd'),
    'sgd (momentum, dampening, nesterov, weightDecay), adam or adamw (betas, eps, weightDecay)',
    { shown: 'sgd' },
  ),
  learningRate: row(
    kinds.positive,
    earlier => (earlier.optimizer.name === 'sgd' ? 0.01 : 0.001),
    'the highest learning rate',
    { shown: '0.01 for sgd, else 0.001', alias: 'lr' },
  ),
  minLearningRate: row(
    kinds.number(0),
    0,
    'where the cosine ends, and the lowest that the other schedules reach',
  ),
  schedule: row(
    schedule,
    { name: 'cosine' },
    'cosine, step (stepSize in epochs, gamma), exponential (gamma an epoch) or constant; stepped every update',
  ),
  warmupEpochs: row(kinds.number(0), 0, 'linear warm-up from a hundredth of the learning rate'),
  freezeEpochs: row(kinds.integer(0), 0, 'first epochs, in which only the classifier is trained'),
  freezeBatchSize: row(kinds.integer(1), e => e.batchSize, 'images a step while frozen', {
    shown: 'batchSize',
  }),
  freezeLearningRate: row(kinds.positive, e => e.learningRate, 'the highest learning rate while frozen', {
    shown: 'learningRate',
  }),
  frozenBatchNorm: row(
    kinds.choice('eval', 'train'),
    'eval',
    "while frozen, batch norms use their statistics ('eval') or batch statistics, which they go on averaging",
  ),
  labelSmoothing: row(kinds.fraction, 0, 'share of the target that is spread over all classes'),
  classWeights: row(
    classWeights,
    null,
    "weights of the classes in the loss: 'balanced' (images / (classes x images of the class)), or a number each",
  ),
  augmentation: row(
    augmentation,
    checkAugmentation('augmentation', 'standard'),
    `${AUGMENTATIONS.join(', ')}, or what differs from standard: scale=0.5:1,verticalFlip=0.5`,
    { shown: 'standard' },
  ),
  resize: row(
    kinds.optional(kinds.choice('crop', 'pad', 'squish')),
    null,
    'how images of another shape are made square',
    { shown: "the model's: crop" },
  ),
  inputSize: row(
    kinds.optional(kinds.integer(32, 4096)),
    null,
    'side of the square that the network sees, in pixels',
    {
      shown: "the model's",
    },
  ),
  dtype: row(
    kinds.choice('float32', 'bfloat16'),
    'float32',
    'bfloat16: forward and backward pass, with float32 master weights; on a CPU without it, float32',
  ),
  clipGradNorm: row(kinds.optional(kinds.positive), null, 'largest norm of all gradients together'),
  ema: row(
    kinds.optional(kinds.fraction),
    null,
    'decay of a moving average of the weights, which is then evaluated and saved as best.pth',
  ),
  gradientAccumulation: row(kinds.integer(1), 1, 'batches whose gradients make one update'),
  earlyStopping: row(
    kinds.optional(kinds.integer(1)),
    null,
    'epochs without a better one, after which training ends',
  ),
  monitor: row(
    kinds.choice('top1', 'top5', 'loss'),
    'top1',
    'the validation figure by which the best epoch is chosen',
  ),
  saveEvery: row(kinds.optional(kinds.integer(1)), null, 'also keep a checkpoint every so many epochs'),
  keep: row(kinds.optional(kinds.integer(1)), null, 'how many of those to keep, the newest', {
    shown: 'all',
  }),
  resume: row(
    resume,
    false,
    "continue from the directory's last.pth, or from a checkpoint (also one of torchvision's references)",
  ),
  seed: row(kinds.integer(0), 0, 'of every random choice: order, augmentation, dropout'),
  cache: row(
    kinds.choice('none', 'memory', 'disk'),
    'none',
    "keep decoded images in memory, or in the user's cache folder",
  ),
  workers: row(kinds.integer(1, 1024), () => Math.min(8, availableParallelism()), 'images decoded at once', {
    shown: 'the number of cores, at most 8',
  }),
  onUnreadable: row(
    kinds.choice('stop', 'skip'),
    'stop',
    'an image that cannot be decoded ends the run, or is left out with a warning',
  ),
  report: row(kinds.boolean, true, 'write report.html, results.png and confusion_matrix.png at the end'),
  tensorboard: row(kinds.boolean, false, 'also write TensorBoard event files'),
  directory: row(kinds.optional(kinds.text('<dir>')), null, 'where the files of the run go', {
    shown: 'runs/<architecture>-<n>',
    alias: 'out',
  }),
} satisfies Record<string, OptionRow<unknown>>

/** The headings of `--help`, and the options below each. */
export const optionGroups: Readonly<Record<string, readonly (keyof typeof optionTable)[]>> = {
  Optimization: [
    'preset',
    'epochs',
    'batchSize',
    'optimizer',
    'learningRate',
    'minLearningRate',
    'schedule',
    'warmupEpochs',
    'labelSmoothing',
    'classWeights',
    'clipGradNorm',
    'ema',
    'gradientAccumulation',
    'dtype',
    'seed',
  ],
  'Training the classifier first': [
    'freezeEpochs',
    'freezeBatchSize',
    'freezeLearningRate',
    'frozenBatchNorm',
  ],
  Images: ['augmentation', 'resize', 'inputSize', 'cache', 'workers', 'onUnreadable'],
  'The run and its files': [
    'directory',
    'resume',
    'monitor',
    'earlyStopping',
    'saveEvery',
    'keep',
    'report',
    'tensorboard',
  ],
}

/** `warmupEpochs` -> `--warmup-epochs`. */
export const flagName = (name: string): string =>
  `--${name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)}`

/** The flag as the help shows it: `--lr, --learning-rate <x>`; one that is on by default is turned off. */
export function flagOf(name: string, { kind, default: fallback, alias }: OptionRow<unknown>): string {
  if (fallback === true) return flagName(name).replace('--', '--no-')
  const names = alias === undefined ? flagName(name) : `--${alias}, ${flagName(name)}`
  return `${names} ${kind.placeholder}`.trim()
}

/** The default in words. */
export function shownDefault({ default: fallback, shown }: OptionRow<unknown>): string {
  if (shown !== undefined) return shown
  if (fallback === null) return 'none'
  if (typeof fallback === 'boolean') return fallback ? 'on' : 'off'
  return is.object(fallback) && 'name' in fallback ? String(fallback.name) : String(fallback)
}
