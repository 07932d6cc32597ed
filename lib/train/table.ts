import { availableParallelism } from 'node:os'
import {
  AUGMENTATIONS,
  type Augmentation,
  type AugmentationOption,
  checkAugmentation,
} from '../image/augmentation.js'
import { checkColor, INTERPOLATIONS, RESIZE_MODES } from '../image/preprocessing.js'
import { check, invalid, is } from '../util/is.js'
import * as kinds from './kinds.js'
import { defaultLearningRates, learningRateHelp, optimizer, optimizerHelp } from './optimizers.js'
import { type Earlier, preset } from './preset.js'

// The one table of training options. A new option is a row here: its comment and its type become those of the public
// TrainOptions, train() checks it, `visiontorch train` takes it (in kebab case), and --help and docs/training.md list it.

export interface OptionRow<T, Given = T> {
  kind: kinds.Kind<T, Given>
  default: T | ((earlier: Earlier) => T)
  /** The default in words, if it is a function. */
  shown?: string
  help: string
  /** A second, shorter name of the flag. */
  alias?: string
}

const row = <T, Given>(
  kind: kinds.Kind<T, Given>,
  fallback: NoInfer<T> | ((earlier: Earlier) => NoInfer<T>),
  help: string,
  more: { shown?: string; alias?: string } = {},
): OptionRow<T, Given> => ({ kind, default: fallback, help, ...more })

const schedule = kinds.variant({
  cosine: {},
  step: { stepSize: kinds.property(kinds.positive, 10), gamma: kinds.property(kinds.positive, 0.1) },
  exponential: { gamma: kinds.property(kinds.positive, 0.9) },
  constant: {},
})

const classWeights: kinds.Kind<'balanced' | number[] | null, 'balanced' | readonly number[] | null> = {
  placeholder: '<balanced|w,w,...>',
  check(name, value) {
    if (value === null || value === 'balanced') return value
    if (!Array.isArray(value)) throw invalid(name, "'balanced' or a number for each class", value)
    return value.map((weight, i) => kinds.positive.check(`${name}[${i}]`, weight))
  },
  parse: text => (text === 'balanced' ? text : text === 'none' ? null : text.split(',').map(Number)),
}

const augmentation: kinds.Kind<Augmentation, AugmentationOption> = {
  placeholder: '<name|key=value,...>',
  check: checkAugmentation,
  parse: text => (text.includes('=') ? kinds.parsePairs(text.split(',')) : text),
}

const color: kinds.Kind<[number, number, number], readonly [number, number, number]> = {
  placeholder: '<r,g,b>',
  check: checkColor,
  parse: text => text.split(',').map(Number),
}

const resume: kinds.Kind<boolean | string> = {
  placeholder: '[checkpoint]',
  check: (name, value) => (typeof value === 'boolean' ? value : check.string(name, value)),
  parse: text => text,
}

const freeze: kinds.Kind<'classifier' | number | string> = {
  placeholder: '<classifier|n|prefix>',
  check: (name, value) =>
    is.number(value) ? check.integer(name, value, 0, 10_000) : check.string(name, value),
  parse: text => (/^[0-9]+$/.test(text) ? Number(text) : text),
}

const optimization = {
  /**
   * `'classification-pytorch'`: the defaults and the learning rates of the platform of that name. `'seed'` is its deprecated
   * name. Default null.
   */
  preset: row(
    kinds.optional(preset),
    null,
    'classification-pytorch: other defaults, and the learning rates of the platform of that name',
  ),
  /** Passes over the training images. Default 20. */
  epochs: row(kinds.integer(1), 20, 'passes over the training images'),
  /** Images a step. Default 32. An explicit one may not exceed the training set. */
  batchSize: row(kinds.integer(1), 32, 'images a step'),
  /** Default `'sgd'` with momentum 0.9 and weight decay 1e-4. The other names and defaults are PyTorch's. */
  optimizer: row(optimizer, optimizer.check('optimizer', 'sgd'), optimizerHelp, { shown: 'sgd' }),
  /** The highest learning rate. Default 0.01 for SGD, 0.001 for Adam and AdamW. */
  learningRate: row(
    kinds.positive,
    earlier => defaultLearningRates[earlier.optimizer.name],
    'the highest learning rate',
    { shown: learningRateHelp, alias: 'lr' },
  ),
  /** Weight decay of batch norms and layer norms. Default null: that of the optimizer. */
  normWeightDecay: row(kinds.optional(kinds.number(0)), null, 'weight decay of batch norms and layer norms', {
    shown: 'that of the optimizer',
  }),
  /** Weight decay of biases, also of those of norms. Default null: that of the optimizer. */
  biasWeightDecay: row(kinds.optional(kinds.number(0)), null, 'weight decay of biases', {
    shown: 'that of the optimizer',
  }),
  /**
   * Weight decay of a transformer's class token, position embedding and table of relative positions. Default null: that of the
   * optimizer.
   */
  transformerEmbeddingDecay: row(
    kinds.optional(kinds.number(0)),
    null,
    "weight decay of a transformer's class token, position embedding and table of relative positions",
    { shown: 'that of the optimizer' },
  ),
  /**
   * The learning rate of each stage of the network is this share of that of the next stage; the classifier has the full one.
   * 0 to 1. Default null: all have the same.
   */
  layerDecay: row(
    kinds.optional(kinds.positiveShare),
    null,
    "each stage's learning rate as a share of that of the next stage; the classifier has the full one",
  ),
  /** Where the cosine ends, and the lowest that the other schedules reach. Default 0. */
  minLearningRate: row(
    kinds.number(0),
    0,
    'where the cosine ends, and the lowest that the other schedules reach',
  ),
  /** Stepped every update. `stepSize` is in epochs (default 10); `gamma` is 0.1 for each step or 0.9 for each epoch. Default `'cosine'`. */
  schedule: row(
    schedule,
    { name: 'cosine' },
    'cosine, step (stepSize in epochs, gamma), exponential (gamma for each epoch) or constant; stepped every update',
  ),
  /** Linear warm-up from a hundredth of the learning rate, in epochs, fractions allowed. Default 0. */
  warmupEpochs: row(kinds.number(0), 0, 'linear warm-up from a hundredth of the learning rate'),
  /** The share of the target that is spread over all classes, 0 to below 1. Default 0. */
  labelSmoothing: row(kinds.fraction, 0, 'share of the target that is spread over all classes'),
  /** Weights of the classes in the loss. `'balanced'` is scikit-learn's: images / (classes x images of the class). Default null. */
  classWeights: row(
    classWeights,
    null,
    "weights of the classes in the loss: 'balanced' (images / (classes x images of the class)), or a number for each class",
  ),
  /** Largest total norm of the gradients. Default null: not clipped. */
  clipGradNorm: row(kinds.optional(kinds.positive), null, 'largest total norm of the gradients'),
  /** Decay of a moving average of the weights, which is then evaluated and saved as best.pth; 0 to below 1. Default null. */
  ema: row(
    kinds.optional(kinds.fraction),
    null,
    'decay of a moving average of the weights, which is then evaluated and saved as best.pth',
  ),
  /** Batches whose gradients make one update, as one larger batch would. Default 1. */
  gradientAccumulation: row(kinds.integer(1), 1, 'batches whose gradients make one update'),
  /**
   * `'bfloat16'`: forward and backward pass, with float32 master weights; on a CPU that does not multiply it
   * (`runtimeInfo().bfloat16`), float32 all through. `'float16'` is the same with a scaled loss, for GPUs that do not multiply
   * bfloat16. Default `'float32'`.
   */
  dtype: row(
    kinds.choice('float32', 'bfloat16', 'float16'),
    'float32',
    'bfloat16: forward and backward pass, with float32 master weights; on a CPU without it, float32. float16 (GPU only): the same with a scaled loss',
  ),
  /** The seed of every random choice: order, augmentation, dropout. Default 0. */
  seed: row(kinds.integer(0), 0, 'seed of every random choice: order, augmentation, dropout'),
}

const freezing = {
  /**
   * What is not trained: `'classifier'`: all but the classifier; a number: so many of the first stages, from the input on; another
   * text: the parameters whose names begin with it, such as `'layer1.'`. Default null: everything is trained.
   */
  freeze: row(
    kinds.optional(freeze),
    null,
    'train only the classifier, or freeze so many of the first stages, or the parameters whose names begin with this',
  ),
  /** The first epochs train only the classifier. Default 0. */
  freezeEpochs: row(kinds.integer(0), 0, 'first epochs, in which only the classifier is trained'),
  /** Images a step while frozen. Default `batchSize`. */
  freezeBatchSize: row(kinds.integer(1), e => e.batchSize, 'images a step while frozen', {
    shown: 'batchSize',
  }),
  /** The highest learning rate while frozen. Default `learningRate`. */
  freezeLearningRate: row(kinds.positive, e => e.learningRate, 'the highest learning rate while frozen', {
    shown: 'learningRate',
  }),
  /** While frozen, batch norms use their running statistics (`'eval'`), or the batch's, and update them. Default `'eval'`. */
  frozenBatchNorm: row(
    kinds.choice('eval', 'train'),
    'eval',
    "while frozen, batch norms use their running statistics ('eval') or the batch's, and update them ('train')",
  ),
}

const images = {
  /** The transforms of training images. Default `'standard'`: random resized crop and horizontal flip. */
  augmentation: row(
    augmentation,
    checkAugmentation('augmentation', 'standard'),
    `${AUGMENTATIONS.join(', ')}, or changes to standard: scale=0.5:1,verticalFlip=0.5`,
    { shown: 'standard' },
  ),
  /**
   * Copies of each image that a batch holds, each augmented differently; an epoch then sees only this part of the images. 3 is usual,
   * with batches of hundreds of images. Default 1.
   */
  repeatedAugmentation: row(
    kinds.integer(1, 64),
    1,
    'copies of each image that a batch holds, each augmented differently; an epoch then sees only this part of the images',
  ),
  /**
   * `'balanced'`: each class is seen equally often, whatever its number of images, which are drawn with replacement; an epoch still has
   * as many images as the training set. Default `'shuffle'`: every image once an epoch.
   */
  sampler: row(
    kinds.choice('shuffle', 'balanced'),
    'shuffle',
    "'balanced': see each class equally often, by drawing its images with replacement",
  ),
  /** How images that are not square become square. Default: the model's, which is `'crop'`. */
  resize: row(
    kinds.optional(kinds.choice(...RESIZE_MODES)),
    null,
    'how images that are not square become square',
    { shown: "the model's: crop" },
  ),
  /** Red, green and blue, 0 to 255, of what `'pad'` and `'letterbox'` leave free. Default: the model's, which is gray, 128. */
  fill: row(
    kinds.optional(color),
    null,
    'red, green and blue, 0 to 255, of what pad and letterbox leave free',
    { shown: "the model's: 128,128,128" },
  ),
  /** How images are resized. Default: the model's, which is that of its official weights. */
  interpolation: row(kinds.optional(kinds.choice(...INTERPOLATIONS)), null, 'how images are resized', {
    shown: "the model's",
  }),
  /**
   * Whether images are turned upright as their EXIF orientation says. Default: as the model does, which is true, but false
   * with the preset `'classification-pytorch'`.
   */
  autoOrient: row(
    kinds.optional(kinds.trueOrFalse),
    null,
    'whether images are turned upright as their EXIF orientation says',
    { shown: "the model's: true" },
  ),
  /** The side of the square that the network sees, in pixels, 32 to 4096. Default: the model's. */
  inputSize: row(
    kinds.optional(kinds.integer(32, 4096)),
    null,
    'side of the square that the network sees, in pixels',
    {
      shown: "the model's",
    },
  ),
  /** Keep decoded images in memory, or in the user's cache folder. Default `'none'`. */
  cache: row(
    kinds.choice('none', 'memory', 'disk'),
    'none',
    "keep decoded images in memory, or in the user's cache folder",
  ),
  /** Images decoded at the same time. Default: the number of cores, at most 8. */
  workers: row(
    kinds.integer(1, 1024),
    () => Math.min(8, availableParallelism()),
    'images decoded at the same time',
    {
      shown: 'the number of cores, at most 8',
    },
  ),
  /** Whether an image that cannot be decoded stops the run, or is skipped with a warning. Default `'stop'`. */
  onUnreadable: row(
    kinds.choice('stop', 'skip'),
    'stop',
    'whether an image that cannot be decoded stops the run, or is skipped with a warning',
  ),
}

const run = {
  /** The directory for the files of the run. Default `runs/<architecture>-<n>`. */
  directory: row(kinds.optional(kinds.text('<dir>')), null, 'directory for the files of the run', {
    shown: 'runs/<architecture>-<n>',
    alias: 'out',
  }),
  /** Continue from the directory's last.pth (true), or from a checkpoint. Default false. */
  resume: row(
    resume,
    false,
    "continue from the directory's last.pth, or from a checkpoint (also one of torchvision's references)",
  ),
  /** The validation figure by which the best epoch is chosen. Default `'top1'`. */
  monitor: row(
    kinds.choice('top1', 'top5', 'loss'),
    'top1',
    'the validation figure by which the best epoch is chosen',
  ),
  /** End training after this many epochs without an improvement of `monitor`. Default null: train all epochs. */
  earlyStopping: row(
    kinds.optional(kinds.integer(1)),
    null,
    'end training after this many epochs without an improvement',
  ),
  /** Also keep a checkpoint every this many epochs, `epoch-0010.pth`. Default null. */
  saveEvery: row(kinds.optional(kinds.integer(1)), null, 'also keep a checkpoint every this many epochs'),
  /** How many of the checkpoints of `saveEvery` to keep: the newest. Default null: all. */
  keep: row(kinds.optional(kinds.integer(1)), null, 'how many of those checkpoints to keep: the newest', {
    shown: 'all',
  }),
  /** At the end, write report.html, results.png and confusion_matrix.png. Default true. */
  report: row(kinds.boolean, true, 'write report.html, results.png and confusion_matrix.png at the end'),
  /** Also write TensorBoard event files. Default false. */
  tensorboard: row(kinds.boolean, false, 'also write TensorBoard event files'),
}

/** The options by their headings in `--help`. A default may depend on those of earlier rows. */
export const optionGroups: Readonly<Record<string, Readonly<Record<string, OptionRow<unknown>>>>> = {
  Optimization: optimization,
  Freezing: freezing,
  Images: images,
  'The run and its files': run,
}

export const optionTable = { ...optimization, ...freezing, ...images, ...run }

/** Every option of the table with its value. */
export type ResolvedTrainOptions = {
  [Name in keyof typeof optionTable]: ReturnType<(typeof optionTable)[Name]['kind']['check']>
}

/** What a program may pass. */
export type GivenTrainOptions = {
  [Name in keyof typeof optionTable]?: kinds.GivenOf<(typeof optionTable)[Name]['kind']>
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
