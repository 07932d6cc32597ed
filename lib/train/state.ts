import { VisionTorchError } from '../errors.js'
import type { CheckpointValue } from '../native.js'
import type { EpochMetrics } from './events.js'
import type { ResolvedTrainOptions } from './options.js'

/** Sums over the images of the epoch that is being trained. */
export interface EpochSums {
  images: number
  loss: number
  correct: number
  seconds: number
}

/** How far a run is: all that it needs, beside weights and optimizer, to go on exactly. */
export interface TrainingState {
  /** Epochs that are done. */
  epoch: number
  /** Updates that are done of the epoch after them. */
  step: number
  /** Of those updates; zeros between epochs. */
  sums: EpochSums
  history: EpochMetrics[]
  best: EpochMetrics | null
}

export const noSums = (): EpochSums => ({ images: 0, loss: 0, correct: 0, seconds: 0 })

export const newState = (): TrainingState => ({ epoch: 0, step: 0, sums: noSums(), history: [], best: null })

/** What a checkpoint says about the run that it was saved by. */
export interface SavedRun {
  state: TrainingState
  /** The options that were given to that run, but for those that only say where and how it is run. */
  options: Record<string, unknown>
  classes: readonly string[] | null
}

/** The `training` entry of last.pth. `given` is what a run that resumes takes over. */
export function trainingEntry(
  state: TrainingState,
  options: ResolvedTrainOptions,
  given: Readonly<Record<string, unknown>>,
): CheckpointValue {
  const { epoch, step, sums, history, best } = state
  return toCheckpointValue({
    // All random choices derive from the seed and the position: together they are the random state.
    sampler: { epoch, step, seed: options.seed },
    schedule: options.schedule,
    sums,
    history,
    best,
    options: given,
  })
}

/**
 * Reads how far a checkpoint's run was: last.pth of this program, or the layout of torchvision's
 * references/classification/train.py, `{ model, optimizer, lr_scheduler, epoch }`, whose epoch counts from 0.
 * @throws ERR_CHECKPOINT_MISMATCH for anything else.
 */
export function savedRun(metadata: CheckpointValue, path: string): SavedRun {
  const root = fromCheckpointValue(metadata) as Record<string, unknown>
  const classes = Array.isArray(root?.classes) ? root.classes.map(String) : null
  const training = root?.training as Record<string, unknown> | undefined
  if (training !== undefined) {
    const sampler = training.sampler as { epoch: number; step: number }
    const state = {
      epoch: sampler.epoch,
      step: sampler.step,
      sums: training.sums as EpochSums,
      history: training.history as EpochMetrics[],
      best: training.best as EpochMetrics | null,
    }
    return { state, options: training.options as Record<string, unknown>, classes }
  }
  if (typeof root?.epoch === 'number' && 'optimizer' in root) {
    return { state: { ...newState(), epoch: root.epoch + 1 }, options: {}, classes }
  }
  throw new VisionTorchError(
    'ERR_CHECKPOINT_MISMATCH',
    `${path}: expected a checkpoint that training can continue (last.pth, or one of torchvision's references with ` +
      'model, optimizer and epoch). To start from its weights, create the model with them instead of resuming',
  )
}

/** Plain values to what checkpoints hold: objects become Maps, without their undefined entries. */
export function toCheckpointValue(value: unknown): CheckpointValue {
  if (Array.isArray(value)) return value.map(toCheckpointValue)
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value).filter(([, entry]) => entry !== undefined)
    return new Map(entries.map(([key, entry]) => [key, toCheckpointValue(entry)]))
  }
  return value as CheckpointValue
}

/** And back; whatever else a checkpoint holds stays as it is. */
function fromCheckpointValue(value: CheckpointValue): unknown {
  if (Array.isArray(value)) return value.map(fromCheckpointValue)
  if (value instanceof Map) {
    return Object.fromEntries(Array.from(value, ([key, entry]) => [String(key), fromCheckpointValue(entry)]))
  }
  return value
}
