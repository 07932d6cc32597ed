import type { Evaluation, PoorPrediction } from '../evaluate/metrics.js'
import type { EpochMetrics } from '../train/events.js'

/** The content of a report. */
export interface ReportData {
  /** The heading, for example `resnet50 on photos`. */
  title: string
  /** One row for each epoch; empty for an evaluation without training. */
  history: readonly EpochMetrics[]
  /** The epoch whose weights were kept, or null. */
  best: EpochMetrics | null
  /** The evaluation of the kept weights on the validation images, or null. */
  evaluation: Evaluation | null
  /** The content of config.json: nested plain values. */
  config: Readonly<Record<string, unknown>>
}

/** One of the worst predictions, with a small picture, or null if the file can no longer be read. */
export interface Thumbnail extends PoorPrediction {
  picture: { uri: string; width: number; height: number } | null
}
