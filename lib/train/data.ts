import pLimit from 'p-limit'
import type { Decode } from '../data/cache.js'
import { checkClassNames } from '../data/class-names.js'
import type { Dataset, Sample } from '../data/dataset.js'
import { isUnnamed, list, relabel } from '../data/labels.js'
import { exists } from '../data/relocate.js'
import type { Group } from '../distributed/group.js'
import { cropTo, type Preprocessing } from '../image/preprocessing.js'
import { formatSize } from '../image/size.js'
import type { Model } from '../model/model.js'
import { VisionTorchError } from '../util/errors.js'
import { refuse } from '../util/is.js'
import { printable } from '../util/text.js'
import type { TrainOptions } from './options.js'
import type { ResolvedTrainOptions } from './table.js'

/** Samples whose labels are indices of the model's classes. */
export interface TrainingData {
  train: readonly Sample[]
  validation: readonly Sample[]
}

/**
 * The images for training and for validation. If the model's classes are only numbered, they get the names from the
 * data.
 * @throws ERR_INVALID_ARGUMENT if the model has a different number of classes, ERR_DATASET if it has different classes,
 * or if there are no images for training or validation.
 */
export function trainingData(model: Model, dataset: Dataset): TrainingData {
  const { root } = dataset
  const classes = checkClassNames('data.classes', dataset.classes)
  if (model.numClasses !== classes.length) {
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      `the model has ${model.numClasses} classes, but ${root} has ${classes.length} (${list(classes)}). ` +
        'Call model.replaceClassifier(classes) before training, or create the model with these classes',
    )
  }
  if (isUnnamed(model.classes)) model.nameClasses(classes)
  const split = (name: string) => relabel(dataset.split(name), classes, model.classes)
  const [train, validation] = [split('train'), split('val')]
  for (const [name, samples] of Object.entries({ train, validation })) {
    if (samples.length > 0) continue
    throw new VisionTorchError('ERR_DATASET', `${root}: no images for ${name}. Add some to every class`)
  }
  return { train, validation }
}

/** Decodes every image once. Leaves out those that fail, and reports each to `skipped`. */
export async function readable(
  samples: readonly Sample[],
  decode: Decode,
  workers: number,
  signal: AbortSignal | undefined,
  skipped: (error: VisionTorchError) => void,
): Promise<Sample[]> {
  const turn = pLimit(workers)
  const isReadable = async (sample: Sample): Promise<boolean> => {
    signal?.throwIfAborted()
    try {
      await decode(sample)
      return true
    } catch (error) {
      if (!(error instanceof VisionTorchError)) throw error
      skipped(error)
      return false
    }
  }
  const results = await Promise.all(samples.map(sample => turn(() => isReadable(sample))))
  return samples.filter((_, i) => results[i])
}

/**
 * Limits default batch sizes to the training set.
 * @throws ERR_INVALID_ARGUMENT if a batch size that the caller set is larger.
 */
export function fitBatchSizes(
  options: ResolvedTrainOptions,
  given: Partial<TrainOptions>,
  images: number,
): ResolvedTrainOptions {
  const limited = (name: 'batchSize' | 'freezeBatchSize') => {
    if (given[name] !== undefined && options[name] > images) {
      throw refuse(
        `${name}: expected at most the ${images} training images, got ${options[name]}. Choose a smaller batch`,
        name,
      )
    }
    return Math.min(options[name], images)
  }
  return { ...options, batchSize: limited('batchSize'), freezeBatchSize: limited('freezeBatchSize') }
}

/** The number of processes whose batches a batch norm normalises together. */
export const normalisedTogether = (group: Group, { syncBatchNorm }: ResolvedTrainOptions): number =>
  syncBatchNorm ? group.size : 1

/**
 * @throws ERR_INVALID_ARGUMENT if batches would hold a single image so small that a batch norm sees only one value per
 * channel. That is fine in a frozen backbone that keeps its statistics.
 */
export function checkBatchNorm(model: Model, options: ResolvedTrainOptions, group: Group): void {
  const { batchSize, freezeBatchSize, freezeEpochs, epochs, frozenBatchNorm } = options
  const smallest = Math.min(
    freezeEpochs < epochs ? batchSize : Infinity,
    freezeEpochs > 0 && frozenBatchNorm === 'train' ? freezeBatchSize : Infinity,
  )
  if (smallest * normalisedTogether(group, options) > 1) return
  const { crop } = model.preprocessing
  const layer = model
    .summary(crop)
    .layers.find(({ type, outputShape: [, h = 1, w = 1] }) => type === 'BatchNorm2d' && h * w === 1)
  if (layer === undefined) return
  throw refuse(
    `batchSize: with one image of ${formatSize(crop)} pixels, the batch norm ${layer.name} sees only one value per channel. ` +
      `Use batches of at least 2 images${group.size > 1 ? ', syncBatchNorm' : ''}, or a larger inputSize`,
    'batchSize',
    'inputSize',
  )
}

/**
 * @throws ERR_DATASET naming the first annotated image that does not exist, which training might reach only after
 * hours.
 */
export async function checkPresent(
  { root }: Dataset,
  { train, validation }: TrainingData,
  signal?: AbortSignal,
): Promise<void> {
  const samples = [...train, ...validation].filter(({ read }) => read === undefined)
  const missing: string[] = []
  for (let start = 0; start < samples.length; start += 256) {
    signal?.throwIfAborted()
    const paths = samples.slice(start, start + 256).map(({ path }) => path)
    const there = await Promise.all(paths.map(exists))
    missing.push(...paths.filter((_, i) => !there[i]))
  }
  if (missing.length === 0) return
  const count = `${missing.length} of the ${samples.length} annotated images do not exist`
  throw new VisionTorchError(
    'ERR_DATASET',
    `${root}: ${count}; the first is ${printable(missing[0]!)}. A relative path counts from the annotation file. ` +
      "Correct the paths, write the annotations again with visiontorch annotate, or skip the images with onUnreadable: 'skip'",
    { options: ['onUnreadable'] },
  )
}

/**
 * The weight of each class in the loss, or null if all weigh the same. `'balanced'` is scikit-learn's
 * `compute_class_weight('balanced', ...)`: images / (classes x images of the class).
 */
export function classWeights(
  option: ResolvedTrainOptions['classWeights'],
  samples: readonly Sample[],
  classes: readonly string[],
): Float32Array | null {
  if (option === null) return null
  if (option !== 'balanced') {
    if (option.length === classes.length) return Float32Array.from(option)
    throw refuse(
      `classWeights: expected a number for each of the ${classes.length} classes, got ${option.length}`,
      'classWeights',
    )
  }
  const counts = classes.map(() => 0)
  for (const { label } of samples) counts[label]!++
  return Float32Array.from(counts, count => (count === 0 ? 0 : samples.length / (classes.length * count)))
}

/** The preprocessing with the changes that the options ask for. */
export function resizedTo(
  preprocessing: Readonly<Preprocessing>,
  {
    inputSize,
    resize,
    interpolation,
    fill,
    autoOrient,
  }: Pick<TrainOptions, 'inputSize' | 'resize' | 'interpolation' | 'fill' | 'autoOrient'>,
): Preprocessing {
  return {
    ...cropTo(preprocessing, inputSize ?? preprocessing.crop),
    mode: resize ?? preprocessing.mode,
    interpolation: interpolation ?? preprocessing.interpolation,
    fill: fill ? [...fill] : preprocessing.fill,
    autoOrient: autoOrient ?? preprocessing.autoOrient,
  }
}
