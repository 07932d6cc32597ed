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
   * `'classification-pytorch'` uses the defaults and the learning rates of the platform of that name. `'seed'` is a
   * deprecated alias of it. Default null.
   */
  preset: row(
    kinds.optional(preset),
    null,
    'classification-pytorch: use the defaults and the learning rates of the platform of that name',
  ),
  /** The number of passes over the training images. Default 20. */
  epochs: row(kinds.integer(1), 20, 'number of passes over the training images'),
  /** The number of images in a batch. Default 32. A value that you set may not exceed the size of the training set. */
  batchSize: row(kinds.integer(1), 32, 'number of images in a batch'),
  /** Default `'sgd'` with momentum 0.9 and weight decay 1e-4. The other names and defaults are PyTorch's. */
  optimizer: row(optimizer, optimizer.check('optimizer', 'sgd'), optimizerHelp, { shown: 'sgd' }),
  /** The highest learning rate. Default 0.01 for SGD, 0.001 for Adam and AdamW. */
  learningRate: row(
    kinds.positive,
    earlier => defaultLearningRates[earlier.optimizer.name],
    'the highest learning rate',
    { shown: learningRateHelp, alias: 'lr' },
  ),
  /** Weight decay of batch norms and layer norms. Default null: the optimizer's weight decay. */
  normWeightDecay: row(kinds.optional(kinds.number(0)), null, 'weight decay of batch norms and layer norms', {
    shown: "the optimizer's",
  }),
  /** Weight decay of biases, including those of norms. Default null: the optimizer's weight decay. */
  biasWeightDecay: row(kinds.optional(kinds.number(0)), null, 'weight decay of biases', {
    shown: "the optimizer's",
  }),
  /**
   * Weight decay of a transformer's class token, position embedding and table of relative positions. Default null: the
   * optimizer's weight decay.
   */
  transformerEmbeddingDecay: row(
    kinds.optional(kinds.number(0)),
    null,
    "weight decay of a transformer's class token, position embedding and table of relative positions",
    { shown: "the optimizer's" },
  ),
  /**
   * The learning rate of each stage as a fraction of the next stage's; the classifier has the full learning rate. Above 0,
   * at most 1. Default null: all stages have the same learning rate.
   */
  layerDecay: row(
    kinds.optional(kinds.positiveShare),
    null,
    "each stage's learning rate as a fraction of the next stage's; the classifier has the full learning rate",
  ),
  /**
   * The learning rate at the end of the cosine schedule, and the lower limit of the step and exponential schedules.
   * Default 0.
   */
  minLearningRate: row(
    kinds.number(0),
    0,
    'the learning rate at the end of the cosine schedule, and the lower limit of the step and exponential schedules',
  ),
  /**
   * Applied at every update. `stepSize` is in epochs (default 10); the default of `gamma` is 0.1 per step, or 0.9 per
   * epoch. Default `'cosine'`.
   */
  schedule: row(
    schedule,
    { name: 'cosine' },
    'cosine, step (stepSize in epochs, gamma), exponential (gamma per epoch) or constant; applied at every update',
  ),
  /** Epochs of linear warm-up from a hundredth of the learning rate. May be fractional. Default 0. */
  warmupEpochs: row(kinds.number(0), 0, 'epochs of linear warm-up from a hundredth of the learning rate'),
  /** The share of the target that is spread over all classes: at least 0, below 1. Default 0. */
  labelSmoothing: row(kinds.fraction, 0, 'share of the target that is spread over all classes'),
  /**
   * Weights of the classes in the loss. `'balanced'` is scikit-learn's: images / (classes x images of the class).
   * Default null.
   */
  classWeights: row(
    classWeights,
    null,
    "weights of the classes in the loss: 'balanced' (images / (classes x images of the class)), or one number for each class",
  ),
  /** Gradients are clipped to this total norm. Default null: they are not clipped. */
  clipGradNorm: row(kinds.optional(kinds.positive), null, 'clip the gradients to this total norm'),
  /**
   * Decay of a moving average of the weights, at least 0 and below 1. The average is then evaluated and saved as
   * best.pth. Default null.
   */
  ema: row(
    kinds.optional(kinds.fraction),
    null,
    'decay of a moving average of the weights; the average is then evaluated and saved as best.pth',
  ),
  /** The number of batches whose gradients make up one update, as if they were one larger batch. Default 1. */
  gradientAccumulation: row(kinds.integer(1), 1, 'number of batches whose gradients make up one update'),
  /**
   * In a job of several processes, batch norms use the statistics of the batches of all processes, like `torch.nn.SyncBatchNorm`.
   * This helps if `batchSize` is small. Default false: each process uses its own statistics.
   */
  syncBatchNorm: row(
    kinds.boolean,
    false,
    "batch norms use the statistics of all processes' batches together (torch.nn.SyncBatchNorm)",
  ),
  /**
   * `'bfloat16'` computes the forward and backward pass in bfloat16, with float32 master weights; on a CPU that cannot
   * multiply bfloat16 (see `runtimeInfo().bfloat16`), everything stays float32. `'float16'` is the same with a scaled loss,
   * for GPUs that cannot multiply bfloat16. Default `'float32'`.
   */
  dtype: row(
    kinds.choice('float32', 'bfloat16', 'float16'),
    'float32',
    'bfloat16: forward and backward pass in bfloat16, with float32 master weights (float32 only, on a CPU without bfloat16). float16 (GPU only): the same with a scaled loss',
  ),
  /** The seed of every random choice: order, augmentation, dropout. Default 0. */
  seed: row(kinds.integer(0), 0, 'seed of every random choice: order, augmentation, dropout'),
}

const freezing = {
  /**
   * What to freeze. `'classifier'` trains only the classifier; a number freezes that many stages, counted from the input; any
   * other text freezes the parameters whose names begin with it, such as `'layer1.'`. Default null: everything is trained.
   */
  freeze: row(
    kinds.optional(freeze),
    null,
    "'classifier': train only the classifier; a number: freeze that many of the first stages; else: freeze the parameters whose names begin with this",
  ),
  /** How many epochs at the start train only the classifier. Default 0. */
  freezeEpochs: row(kinds.integer(0), 0, 'how many epochs at the start train only the classifier'),
  /** The number of images in a batch while the backbone is frozen. Default `batchSize`. */
  freezeBatchSize: row(
    kinds.integer(1),
    e => e.batchSize,
    'number of images in a batch while the backbone is frozen',
    { shown: 'batchSize' },
  ),
  /** The highest learning rate while the backbone is frozen. Default `learningRate`. */
  freezeLearningRate: row(
    kinds.positive,
    e => e.learningRate,
    'the highest learning rate while the backbone is frozen',
    { shown: 'learningRate' },
  ),
  /**
   * Frozen batch norms use their running statistics (`'eval'`), or use the statistics of the batch and update their
   * own (`'train'`). Default `'eval'`.
   */
  frozenBatchNorm: row(
    kinds.choice('eval', 'train'),
    'eval',
    "frozen batch norms use their running statistics ('eval'), or use the statistics of the batch and update their own ('train')",
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
   * How many differently augmented copies of each image follow each other. An epoch keeps its length: with 3 copies, it sees a
   * third of the images. 3 is usual, with batches of hundreds of images. Default 1.
   */
  repeatedAugmentation: row(
    kinds.integer(1, 64),
    1,
    'number of differently augmented copies of each image in a batch; an epoch keeps its length, so it sees fewer images',
  ),
  /**
   * `'balanced'` shows each class equally often, however many images it has, by drawing its images with replacement; an epoch still
   * has as many images as the training set. Default `'shuffle'`: every image once per epoch.
   */
  sampler: row(
    kinds.choice('shuffle', 'balanced'),
    'shuffle',
    "'balanced' shows each class equally often, by drawing its images with replacement",
  ),
  /** How images of other proportions become the network's input. Default: the model's, which is `'crop'`. */
  resize: row(
    kinds.optional(kinds.choice(...RESIZE_MODES)),
    null,
    "how images of other proportions become the network's input",
    { shown: "the model's: crop" },
  ),
  /**
   * The color of the borders that `'pad'` and `'letterbox'` add: red, green and blue, 0 to 255. Default: the model's,
   * which is normally gray, 128.
   */
  fill: row(
    kinds.optional(color),
    null,
    'color of the borders that pad and letterbox add: red, green and blue, 0 to 255',
    { shown: "the model's: 128,128,128" },
  ),
  /** The interpolation for resizing images. Default: the model's, which is that of its official weights. */
  interpolation: row(
    kinds.optional(kinds.choice(...INTERPOLATIONS)),
    null,
    'interpolation for resizing images',
    { shown: "the model's" },
  ),
  /**
   * Whether to turn images upright according to their EXIF orientation. Default: as the model does, which is normally
   * true; false with the preset `'classification-pytorch'`.
   */
  autoOrient: row(
    kinds.optional(kinds.trueOrFalse),
    null,
    'whether to turn images upright according to their EXIF orientation',
    { shown: "the model's: true" },
  ),
  /**
   * The size of the images that the network sees, in pixels, 32 to 4096: the side of a square, or `[height, width]`. Default: the
   * model's.
   */
  inputSize: row(
    kinds.optional(kinds.inputSize(32, 4096)),
    null,
    'size of the images that the network sees, in pixels: the side of a square, or height x width',
    {
      shown: "the model's",
    },
  ),
  /** Keeps decoded images in memory, or in the user's cache folder. Default `'none'`. */
  cache: row(
    kinds.choice('none', 'memory', 'disk'),
    'none',
    "keep decoded images in memory, or in the user's cache folder",
  ),
  /** How many images are decoded at the same time. Default: the number of cores, at most 8. */
  workers: row(
    kinds.integer(1, 1024),
    () => Math.min(8, availableParallelism()),
    'how many images are decoded at the same time',
    { shown: 'the number of cores, at most 8' },
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
  /** Continues from the directory's last.pth (true), or from the checkpoint of this path. Default false. */
  resume: row(
    resume,
    false,
    "continue from the directory's last.pth, or from this checkpoint (torchvision's reference scripts write ones that work too)",
  ),
  /** The validation metric that decides which epoch is best. Default `'top1'`. */
  monitor: row(
    kinds.choice('top1', 'top5', 'loss'),
    'top1',
    'the validation metric that decides which epoch is best',
  ),
  /** Ends training after this many epochs without an improvement of `monitor`. Default null: all epochs are trained. */
  earlyStopping: row(
    kinds.optional(kinds.integer(1)),
    null,
    'end training after this many epochs without an improvement',
  ),
  /** Also saves a checkpoint, such as `epoch-0010.pth`, each time this many epochs are done. Default null. */
  saveEvery: row(kinds.optional(kinds.integer(1)), null, 'also save a checkpoint every so many epochs'),
  /** How many of the newest checkpoints of `saveEvery` to keep. Default null: all. */
  keep: row(kinds.optional(kinds.integer(1)), null, 'how many of the newest of these checkpoints to keep', {
    shown: 'all',
  }),
  /** Writes report.html, results.png and confusion_matrix.png at the end. Default true. */
  report: row(kinds.boolean, true, 'write report.html, results.png and confusion_matrix.png at the end'),
  /** Also writes TensorBoard event files. Default false. */
  tensorboard: row(kinds.boolean, false, 'also write TensorBoard event files'),
}

/** The options by their headings in `--help`. A default may depend on the options of earlier rows. */
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
