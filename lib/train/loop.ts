import type { Decode } from '../data/cache.js'
import { Loader } from '../data/loader.js'
import { Evaluator } from '../evaluate/evaluate.js'
import type { Evaluation } from '../evaluate/metrics.js'
import { evalTransform } from '../image/transform.js'
import { familyOf } from '../model/architectures.js'
import type { Model } from '../model/model.js'
import { type CheckpointValue, type NativeTrainer, native } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { replaceFile } from '../util/files.js'
import { formatNumber } from '../util/format.js'
import { refuse } from '../util/is.js'
import { deriveSeed } from '../util/random.js'
import { classWeights, type TrainingData } from './data.js'
import type { RunDirectory } from './directory.js'
import type { EpochMetrics, TrainingEvent, TrainingResult } from './events.js'
import {
  computeFeatures,
  type Features,
  type Feed,
  featureFeed,
  featuresAreFixed,
  imageFeed,
  trainingBatches,
} from './feed.js'
import { epochUpdates, largestBatch, type Update } from './sampler.js'
import { learningRateAt } from './schedule.js'
import { noSums, type TrainingState, toCheckpointValue, trainingEntry } from './state.js'
import type { ResolvedTrainOptions } from './table.js'

export interface TrainingParts {
  model: Model
  trainer: NativeTrainer
  data: TrainingData
  decode: Decode
  options: ResolvedTrainOptions
  /** What the next run that resumes takes over. */
  savedOptions: Readonly<Record<string, unknown>>
  directory: RunDirectory
  state: TrainingState
  emit: (event: TrainingEvent) => void
  signal: AbortSignal | undefined
}

/** One run: epochs of updates, each followed by validation and checkpoints. */
export class Training {
  readonly #parts: TrainingParts
  readonly #weights: Float32Array | null
  readonly #loader: Loader
  readonly #evaluator: Evaluator
  readonly #batchSize: number
  #features: Promise<Features | null> | undefined

  constructor(parts: TrainingParts) {
    this.#parts = parts
    const { model, data, decode, options } = parts
    const { workers, batchSize, freezeBatchSize, freezeEpochs } = options
    this.#weights = classWeights(options.classWeights, data.train, model.classes)
    this.#batchSize = freezeEpochs > 0 ? Math.max(batchSize, freezeBatchSize) : batchSize
    const count = data.train.length
    const capacity = Math.max(largestBatch(count, batchSize), largestBatch(count, freezeBatchSize))
    const createBatch = () => model.createBatch(capacity)
    this.#loader = new Loader({ samples: data.train, createBatch, decode, workers })
    this.#evaluator = new Evaluator({
      samples: data.validation,
      classes: model.classes,
      preprocessing: model.preprocessing,
      loader: new Loader({ samples: data.validation, createBatch, decode, workers }),
      batchSize: this.#batchSize,
    })
  }

  /** Trains to the end. Stopped by the signal, it saves last.pth and throws the signal's reason. */
  async run(): Promise<Omit<TrainingResult, 'directory' | 'seconds'>> {
    const { options, signal, state } = this.#parts
    try {
      // The first one also tells whether there is room on the disk, before anything is trained.
      if (state.epoch === 0 && state.step === 0) await this.#saveLast()
      while (state.epoch < options.epochs && !this.#isStale()) {
        signal?.throwIfAborted()
        await this.#trainEpoch()
      }
    } catch (error) {
      if (signal?.aborted && error === signal.reason) await this.#saveLast()
      throw error
    }
    const { best, history } = state
    if (best === null) {
      throw refuse(
        `epochs: expected more than the ${state.epoch} that the checkpoint has trained, got ${options.epochs}`,
        'epochs',
      )
    }
    await this.#restoreBest()
    return { reason: state.epoch < options.epochs ? 'early-stopping' : 'completed', best, history }
  }

  /** The figures of the model as it is, on the validation images. */
  evaluate(keepWorst: number): Promise<Evaluation> {
    return this.#evaluator.run(this.#parts.model.network, { keepWorst, signal: this.#parts.signal })
  }

  async #trainEpoch(): Promise<void> {
    const { data, emit, model, options, signal, state, trainer } = this.#parts
    const start = performance.now()
    const frozen = state.epoch < options.freezeEpochs
    const updates = epochUpdates(
      data.train.length,
      frozen ? options.freezeBatchSize : options.batchSize,
      options.gradientAccumulation,
      options.seed,
      state.epoch,
    )
    if (state.step > updates.length) {
      throw refuse(
        `resume: the checkpoint is ${state.step} updates into an epoch that has ${updates.length} now. Resume with the ` +
          'same data and batch size as before',
        'resume',
      )
    }
    if (!frozen) this.#features = undefined
    await trainer.setFrozen(frozen, options.frozenBatchNorm === 'eval')
    await this.#trainUpdates(updates)
    const evaluation = await this.#evaluator
      .run(trainer.ema ?? model.network, { keepWorst: 0, signal })
      .catch(error => {
        if (error.code !== 'ERR_NON_FINITE') throw error
        const what = `the outputs on the validation images became NaN in epoch ${state.epoch + 1}`
        throw this.#notFinite(what, learningRateAt(options, state.epoch, 1), error)
      })
    const { epoch, sums } = state
    const metrics: EpochMetrics = {
      epoch: epoch + 1,
      learningRate: learningRateAt(options, epoch, (updates.length - 1) / updates.length),
      trainLoss: sums.loss / sums.images,
      trainTop1: sums.correct / sums.images,
      validationLoss: evaluation.loss,
      top1: evaluation.top1,
      top5: evaluation.top5,
      imagesPerSecond: sums.images / sums.seconds,
      seconds: (performance.now() - start) / 1000,
    }
    const isBest = state.best === null || isBetter(metrics, state.best, options.monitor)
    if (isBest) state.best = metrics
    state.history.push(metrics)
    Object.assign(state, { epoch: metrics.epoch, step: 0, sums: noSums() })
    await this.#saveEpoch(metrics, isBest)
    emit({ type: 'epoch', epochs: options.epochs, isBest, ...metrics })
  }

  /** The updates of the epoch that are not done yet. */
  async #trainUpdates(updates: readonly Update[]): Promise<void> {
    const { emit, options, signal, state } = this.#parts
    const { epoch, sums } = state
    const remaining = updates.slice(state.step)
    const feed = await this.#feed(remaining)
    const start = performance.now() - sums.seconds * 1000
    try {
      for (const update of remaining) {
        const learningRate = learningRateAt(options, epoch, state.step / updates.length)
        const { images, loss, correct, gradNorm } = await this.#update(update, feed, learningRate)
        state.step++
        this.#parts.model.markTrained()
        sums.images += images
        sums.loss += loss * images
        sums.correct += correct
        sums.seconds = (performance.now() - start) / 1000
        emit({
          type: 'step',
          epoch: epoch + 1,
          epochs: options.epochs,
          step: state.step,
          steps: updates.length,
          loss,
          meanLoss: sums.loss / sums.images,
          accuracy: sums.correct / sums.images,
          learningRate,
          gradNorm,
          imagesPerSecond: sums.images / sums.seconds,
        })
        signal?.throwIfAborted()
      }
    } finally {
      await feed.close()
    }
  }

  async #feed(updates: readonly Update[]): Promise<Feed> {
    const { data, model, options, state, trainer } = this.#parts
    const { classifiesFeatures } = familyOf(model.architecture)
    if (state.epoch < options.freezeEpochs && classifiesFeatures && featuresAreFixed(options)) {
      this.#features ??= this.#computeFeatures()
      const features = await this.#features
      if (features !== null) return featureFeed(trainer, features, data.train)
    }
    const batches = trainingBatches(this.#loader, updates.flat(), {
      ...options,
      epoch: state.epoch,
      first: state.step * options.gradientAccumulation,
      preprocessing: model.preprocessing,
    })
    return imageFeed(trainer, batches)
  }

  async #computeFeatures(): Promise<Features | null> {
    const { data, emit, model, signal } = this.#parts
    const message = 'the backbone is frozen and images do not vary: its features are computed once'
    emit({ type: 'note', message })
    return computeFeatures(model.network, this.#loader, {
      count: data.train.length,
      batchSize: this.#batchSize,
      transformOf: (_, size) => evalTransform(model.preprocessing, size),
      signal,
    })
  }

  /** One update: its micro-batches share it by their weight in the loss of one larger batch. */
  async #update(
    update: Update,
    feed: Feed,
    learningRate: number,
  ): Promise<{ images: number; loss: number; correct: number; gradNorm: number | null }> {
    const { options, state } = this.#parts
    const whole = update.reduce((sum, indices) => sum + this.#weight(indices), 0)
    const done = { images: 0, loss: 0, correct: 0, gradNorm: null as number | null }
    for (const [micro, indices] of update.entries()) {
      const scale = this.#weight(indices) / whole
      const result = await feed.step(indices, {
        learningRate,
        seed: deriveSeed(options.seed, state.epoch, state.step, micro),
        scale,
        update: micro === update.length - 1,
        mixed: null,
      })
      if (!Number.isFinite(result.loss)) {
        const what = `the loss became ${result.loss} in epoch ${state.epoch + 1}, step ${state.step + 1}`
        throw this.#notFinite(what, learningRate)
      }
      done.images += indices.length
      done.loss += result.loss * scale
      done.correct += result.correct
      done.gradNorm = Number.isNaN(result.gradNorm) ? null : result.gradNorm
    }
    return done
  }

  #weight(indices: Uint32Array): number {
    const weights = this.#weights
    if (weights === null) return indices.length
    const { train } = this.#parts.data
    return indices.reduce((sum, index) => sum + weights[train[index]!.label]!, 0)
  }

  #notFinite(what: string, learningRate: number, cause?: unknown): VisionTorchError {
    const { directory, state } = this.#parts
    return new VisionTorchError(
      'ERR_NON_FINITE_LOSS',
      `${what}, at the learning rate ${formatNumber(learningRate)}. Try a smaller learning rate, warmupEpochs or ` +
        `clipGradNorm. ${directory.last} holds the run after epoch ${state.epoch}`,
      { cause, options: ['warmupEpochs', 'clipGradNorm'] },
    )
  }

  /** Whether `earlyStopping` epochs went by without a better one. */
  #isStale(): boolean {
    const { options, state } = this.#parts
    if (options.earlyStopping === null || state.best === null) return false
    return state.epoch - state.best.epoch >= options.earlyStopping
  }

  /** The best first: a crash before last.pth is written repeats the epoch, and writes the same again. */
  async #saveEpoch(metrics: EpochMetrics, isBest: boolean): Promise<void> {
    const { directory, options, state } = this.#parts
    const { saveEvery, keep } = options
    if (isBest) await this.#save('best', directory.best)
    if (saveEvery !== null && metrics.epoch % saveEvery === 0) {
      await this.#save('periodic', directory.periodic(metrics.epoch))
      if (keep !== null) await directory.removePeriodic(metrics.epoch - keep * saveEvery)
    }
    await this.#saveLast()
    await directory.writeMetrics(state.history)
  }

  /** The weights that were evaluated, for prediction. */
  async #save(kind: 'best' | 'periodic', path: string): Promise<void> {
    const { emit, model, state, trainer } = this.#parts
    await replaceFile(path, file =>
      native().saveModel(file.fd, trainer.ema ?? model.network, this.#metadata(), null),
    )
    emit({ type: 'checkpoint', kind, path, epoch: state.epoch })
  }

  /** Everything that it takes to go on. */
  async #saveLast(): Promise<void> {
    const { directory, emit, model, options, savedOptions, state, trainer } = this.#parts
    const metadata = this.#metadata().set('training', trainingEntry(state, options, savedOptions))
    await replaceFile(directory.last, file => native().saveModel(file.fd, model.network, metadata, trainer))
    emit({ type: 'checkpoint', kind: 'last', path: directory.last, epoch: state.epoch })
  }

  #metadata(): Map<string, CheckpointValue> {
    const { model, state } = this.#parts
    return model
      .checkpointMetadata()
      .set('epoch', state.epoch)
      .set('metrics', toCheckpointValue(state.history.at(-1) ?? {}))
  }

  async #restoreBest(): Promise<void> {
    const { directory, model } = this.#parts
    await model.loadStateDict(directory.best)
  }
}

/** Of equal accuracies the one with the lower loss is better: in small validation sets many epochs are equal. */
function isBetter(
  metrics: EpochMetrics,
  best: EpochMetrics,
  monitor: ResolvedTrainOptions['monitor'],
): boolean {
  if (monitor !== 'loss' && metrics[monitor] !== best[monitor]) return metrics[monitor] > best[monitor]
  return metrics.validationLoss < best.validationLoss
}
