import type { VisionTorchError } from '../util/errors.js'

// The events of a training run. Epochs and steps are counted from 1.

/** The figures of one epoch: a row of metrics.csv and a line of metrics.jsonl. */
export interface EpochMetrics {
  epoch: number
  /** The learning rate of the epoch's last step. */
  learningRate: number
  /** Mean loss over the epoch's training batches, with augmentation and dropout. */
  trainLoss: number
  /** Share of the training images whose class had the highest score, 0 to 1. */
  trainTop1: number
  /** Mean cross entropy over all validation images (no label smoothing, no class weights). */
  validationLoss: number
  /** Share of the validation images whose class has the highest score, 0 to 1. */
  top1: number
  /** Share of the validation images whose class is among the five highest scores, 0 to 1. */
  top5: number
  /** Training images per second, not counting validation. */
  imagesPerSecond: number
  /** Duration of the whole epoch, including validation. */
  seconds: number
}

export interface StartEvent {
  type: 'start'
  /** The folder of the run's files. */
  directory: string
  architecture: string
  classes: readonly string[]
  device: string
  epochs: number
  /** The first epoch that this run trains: above 1 when it resumes. */
  firstEpoch: number
  trainImages: number
  validationImages: number
  /** The value of every option, as in config.json. */
  options: Readonly<Record<string, unknown>>
}

export interface StepEvent {
  type: 'step'
  epoch: number
  epochs: number
  /** The update within the epoch, 1 to `steps`. */
  step: number
  steps: number
  /** Mean loss of this update's images. */
  loss: number
  /** Mean loss since the beginning of the epoch. */
  meanLoss: number
  /** Share of correct predictions since the beginning of the epoch, 0 to 1. */
  accuracy: number
  learningRate: number
  /** Total norm of the gradients before clipping, or null if they are not clipped. */
  gradNorm: number | null
  /** Images per second since the beginning of the epoch. */
  imagesPerSecond: number
}

export interface EpochEvent extends EpochMetrics {
  type: 'epoch'
  epochs: number
  /** Whether this is the best epoch so far by `monitor`. */
  isBest: boolean
}

export interface CheckpointEvent {
  type: 'checkpoint'
  kind: 'best' | 'last' | 'periodic'
  path: string
  epoch: number
}

/** Tells the user something about the run that they may not expect. */
export interface NoteEvent {
  type: 'note'
  message: string
}

/** Tells the user about a problem that does not stop the run. */
export interface WarningEvent {
  type: 'warning'
  message: string
  cause?: VisionTorchError
}

export interface EndEvent extends TrainingResult {
  type: 'end'
}

export type TrainingEvent =
  | StartEvent
  | StepEvent
  | EpochEvent
  | CheckpointEvent
  | NoteEvent
  | WarningEvent
  | EndEvent

export interface TrainingResult {
  reason: 'completed' | 'early-stopping'
  directory: string
  /** The best epoch by `monitor`; its weights are in best.pth, and in the model. */
  best: EpochMetrics
  history: EpochMetrics[]
  seconds: number
}
