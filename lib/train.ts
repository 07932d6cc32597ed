import type { Model } from './model/model.js'
import { observeForReport } from './report/observe.js'
import { observeForTensorBoard } from './report/tensorboard.js'
import type { TrainOptions } from './train/options.js'
import type { TrainingRun } from './train/run.js'
import { startTraining } from './train/start.js'

/**
 * Trains a model on labelled images. You can await the run and iterate over its events, see {@link TrainingRun}. It
 * writes its files into a directory. When it has completed, the model holds the weights of the best epoch (those of
 * best.pth); if it is stopped or fails, the model keeps its current weights.
 *
 * Errors reject the run: ERR_INVALID_ARGUMENT, ERR_DATASET, ERR_IMAGE_DECODE and ERR_FILE_WRITE before or during
 * training, ERR_CHECKPOINT_MISMATCH if it cannot resume, ERR_NON_FINITE_LOSS if the loss becomes NaN or infinite.
 */
export function train(model: Model, options: TrainOptions): TrainingRun {
  return startTraining(model, options, [observeForTensorBoard, observeForReport])
}
