import type { Evaluation } from '../evaluate/metrics.js'
import type { Pixels } from '../native/native.js'
import type { EpochMetrics, TrainingEvent } from './events.js'
import type { ResolvedTrainOptions } from './table.js'

// The interface through which reports and logs follow a run, so that training does not depend on them.

/** A run that is about to start. */
export interface RunStart {
  /** The folder of the run's files. */
  directory: string
  /** Above 1 if the run resumes. */
  firstEpoch: number
  options: ResolvedTrainOptions
}

/** A run that has completed; the model holds the weights of the best epoch. */
export interface TrainedRun {
  directory: string
  /** The content of config.json. */
  config: Readonly<Record<string, unknown>>
  best: EpochMetrics
  history: readonly EpochMetrics[]
  /** Evaluates the best weights on the validation images, and keeps this many of the worst predictions. */
  evaluate(keepWorst: number): Promise<Evaluation>
  /** Decodes an image of the evaluation, without resizing it. */
  decode(file: string): Promise<Pixels>
  /** Emits a warning to the run's listeners. */
  warn(message: string): void
}

/** Follows one run. The run waits for `trained` and `close`, and fails if they fail. */
export interface Observer {
  /** Gets each event before the run's listeners do. */
  event?(event: TrainingEvent): void
  /** Training has ended, whether it completed, was stopped or failed. */
  close?(): Promise<void>
  /** Training has completed. Called after `close` of every observer. */
  trained?(run: TrainedRun): Promise<void>
}

/** Begins to follow a run, or returns null if its options do not ask for it. */
export type Observe = (run: RunStart) => Promise<Observer | null>
