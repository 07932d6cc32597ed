import { checkSavedClasses } from '../model/model.js'
import type { CheckpointValue } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { check, invalid, is } from '../util/is.js'
import { printable } from '../util/text.js'
import type { EpochMetrics } from './events.js'
import { resolveOptions } from './options.js'
import type { ResolvedTrainOptions } from './table.js'

/** Sums over the images of the epoch that is being trained. */
export interface EpochSums {
  images: number
  loss: number
  correct: number
  seconds: number
}

/** The progress of a run: everything, besides weights and optimizer, that it needs to continue exactly. */
export interface TrainingState {
  /** The number of completed epochs. */
  epoch: number
  /** The number of completed updates of the epoch after those. */
  step: number
  /** Micro-batches in an update, summed over all processes. */
  microBatches: number
  /** Sums over those updates; zeros between epochs. */
  sums: EpochSums
  history: EpochMetrics[]
  best: EpochMetrics | null
}

export const noSums = (): EpochSums => ({ images: 0, loss: 0, correct: 0, seconds: 0 })

export const newState = (microBatches = 1): TrainingState => ({
  ...{ epoch: 0, step: 0, microBatches },
  ...{ sums: noSums(), history: [], best: null },
})

/** What a checkpoint says about the run that saved it. */
export interface SavedRun {
  /** `microBatches` is null if the file does not have it. */
  state: Omit<TrainingState, 'microBatches'> & { microBatches: number | null }
  /** The options that were passed to that run, except for those about how and where it works. */
  options: Record<string, unknown>
  classes: readonly string[] | null
}

/** The `training` entry of last.pth. `given` holds the options that a resumed run takes over. */
export function trainingEntry(
  state: TrainingState,
  options: ResolvedTrainOptions,
  given: Readonly<Record<string, unknown>>,
): CheckpointValue {
  const { epoch, step, microBatches, sums, history, best } = state
  return toCheckpointValue({
    // All random choices derive from the seed and the position, so these are the whole random state.
    sampler: { epoch, step, seed: options.seed, microBatches },
    schedule: options.schedule,
    sums,
    history,
    best,
    options: given,
  })
}

const MOST_EPOCHS = 1_000_000
const MOST_STEPS = 1_000_000_000

/**
 * Reads the progress of the run that saved a checkpoint: this library's last.pth, or the layout of torchvision's
 * references/classification/train.py, `{ model, optimizer, lr_scheduler, epoch }`, which counts epochs from 0. Every value
 * is checked, because the file may come from anywhere.
 * @throws ERR_CHECKPOINT_MISMATCH for anything else.
 */
export function savedRun(metadata: CheckpointValue, path: string): SavedRun {
  const root = fromCheckpointValue(metadata)
  try {
    if (is.object(root)) {
      const isOurs = 'training' in root
      const classes = isOurs ? checkSavedClasses(root.classes) : null
      if (isOurs) {
        const { state, options } = checkTraining(root.training)
        // Files from before this option existed do not have it.
        const autoOrient = is.object(root.preprocessing) && root.preprocessing.autoOrient === true
        return { state, options: { autoOrient, ...options }, classes }
      }
      if ('epoch' in root && 'optimizer' in root) {
        const epoch = check.integer('epoch', root.epoch, 0, MOST_EPOCHS)
        return { state: { ...newState(), epoch: epoch + 1, microBatches: null }, options: {}, classes }
      }
    }
  } catch (error) {
    throw new VisionTorchError(
      'ERR_CHECKPOINT_MISMATCH',
      `${path}: the training state in this file is not valid: ${printable((error as Error).message, 500)}`,
      { cause: error },
    )
  }
  throw new VisionTorchError(
    'ERR_CHECKPOINT_MISMATCH',
    `${path}: expected a checkpoint that training can continue (last.pth, or one of torchvision's references with ` +
      'model, optimizer and epoch). To start from its weights, create the model with them instead of resuming',
  )
}

function checkTraining(value: unknown): Omit<SavedRun, 'classes'> {
  const training = checkObject('training', value)
  const sampler = checkObject('sampler', training.sampler)
  const epoch = check.integer('sampler.epoch', sampler.epoch, 0, MOST_EPOCHS)
  const sums = checkObject('sums', training.sums)
  const { history } = training
  if (!Array.isArray(history) || history.length > epoch) {
    throw invalid('history', `an array of at most ${epoch} epochs`, history)
  }
  const state: SavedRun['state'] = {
    epoch,
    step: check.integer('sampler.step', sampler.step, 0, MOST_STEPS),
    microBatches:
      sampler.microBatches === undefined
        ? null
        : check.integer('sampler.microBatches', sampler.microBatches, 1, MOST_STEPS),
    sums: {
      images: check.integer('sums.images', sums.images, 0),
      loss: check.number('sums.loss', sums.loss),
      correct: check.integer('sums.correct', sums.correct, 0),
      seconds: check.number('sums.seconds', sums.seconds, 0),
    },
    history: history.map((row, i) => checkMetrics(`history[${i}]`, row, epoch)),
    best: training.best === null ? null : checkMetrics('best', training.best, epoch),
  }
  return { state, options: checkOptions(training.options) }
}

function checkMetrics(name: string, value: unknown, epochs: number): EpochMetrics {
  const row = checkObject(name, value)
  const number = (key: keyof EpochMetrics, min?: number, max?: number) =>
    check.number(`${name}.${key}`, row[key], min, max)
  return {
    epoch: check.integer(`${name}.epoch`, row.epoch, 1, epochs),
    learningRate: number('learningRate', 0),
    trainLoss: number('trainLoss'),
    trainTop1: number('trainTop1', 0, 1),
    validationLoss: number('validationLoss'),
    top1: number('top1', 0, 1),
    top5: number('top5', 0, 1),
    imagesPerSecond: number('imagesPerSecond', 0),
    seconds: number('seconds', 0),
  }
}

/** Options that a run may take over from a file. A file must not decide where the run writes, for example. */
function checkOptions(value: unknown): Record<string, unknown> {
  const options = checkObject('options', value)
  for (const name of ['directory', 'resume', 'workers', 'signal', 'distributed']) {
    if (name in options) throw invalid(`options.${name}`, 'no such option', options[name])
  }
  if ('data' in options) {
    const data = check.string('options.data', options.data)
    if (data.length > 4096 || data.includes('\0')) throw invalid('options.data', 'a path', data)
  }
  if (options.preset === 'seed') options.preset = 'classification-pytorch' // 'seed' is its former name
  resolveOptions(options)
  return options
}

function checkObject(name: string, value: unknown): Record<string, unknown> {
  if (is.object(value)) return value
  throw invalid(name, 'a dictionary', value)
}

/** Converts plain values to checkpoint values: objects become Maps, without their undefined entries. */
export function toCheckpointValue(value: unknown): CheckpointValue {
  if (Array.isArray(value)) return value.map(toCheckpointValue)
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, entry]) => entry !== undefined)
    return new Map(entries.map(([key, entry]) => [key, toCheckpointValue(entry)]))
  }
  return value as CheckpointValue
}

/** Converts checkpoint values to plain values; other values stay as they are. */
function fromCheckpointValue(value: CheckpointValue): unknown {
  if (Array.isArray(value)) return value.map(fromCheckpointValue)
  if (value instanceof Map) {
    return Object.fromEntries(Array.from(value, ([key, entry]) => [String(key), fromCheckpointValue(entry)]))
  }
  return value
}
