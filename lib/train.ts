import type { Model } from './model/model.js'
import { observeForReport } from './report/observe.js'
import { observeForTensorBoard } from './report/tensorboard.js'
import type { TrainOptions } from './train/options.js'
import type { TrainingRun } from './train/run.js'
import { startTraining } from './train/start.js'

/**
 * Trains a model on labelled images. The run is awaitable and iterates over its events, see {@link TrainingRun}; its
 * files go into a directory. When it ends, the model holds the weights of the best epoch (those of best.pth); when it
 * is stopped or fails, the current weights.
 *
 * Errors reject the run: ERR_INVALID_ARGUMENT, ERR_DATASET, ERR_IMAGE_DECODE and ERR_FILE_WRITE before or while it
 * trains, ERR_CHECKPOINT_MISMATCH when it cannot resume, ERR_NON_FINITE_LOSS when the loss becomes NaN or infinite.
 */
export function train(model: Model, options: TrainOptions): TrainingRun {
  return startTraining(model, options, [observeForTensorBoard, observeForReport])
}
