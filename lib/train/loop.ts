import type { Decode } from '../data/cache.js'
import { Loader } from '../data/loader.js'
import type { Group } from '../distributed/group.js'
import { Evaluator } from '../evaluate/evaluate.js'
import type { Evaluation } from '../evaluate/metrics.js'
import { evalTransform } from '../image/transform.js'
import { familyOf } from '../model/architectures.js'
import type { Model } from '../model/model.js'
import { type CheckpointValue, type NativeTrainer, native, type StepOptions } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { replaceFile } from '../util/files.js'
import { formatNumber } from '../util/format.js'
import { refuse } from '../util/is.js'
import { deriveSeed } from '../util/random.js'
import { classWeights, normalisedTogether, type TrainingData } from './data.js'
import type { RunDirectory } from './directory.js'
import type { EpochMetrics, TrainingEvent, TrainingResult } from './events.js'
import {
  computeFeatures,
  type Features,
  type Feed,
  featureFeed,
  featuresAreFixed,
  imageFeed,
  type PlannedBatch,
  trainingBatches,
} from './feed.js'
import { PlatformFiles } from './platform-files.js'
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
  /** The options that a resumed run takes over. */
  savedOptions: Readonly<Record<string, unknown>>
  directory: RunDirectory
  state: TrainingState
  emit: (event: TrainingEvent) => void
  signal: AbortSignal | undefined
  /** The processes that share the run; all have the same parts. */
  group: Group
}

/** One run: epochs of updates, each followed by validation and checkpoints. */
export class Training {
  readonly #parts: TrainingParts
  readonly #weights: Float32Array | null
  readonly #loader: Loader
  readonly #evaluator: Evaluator
  readonly #batchSize: number
  /** The labels of the training images, for the balanced sampler. */
  readonly #labels: readonly number[] | null
  #features: Promise<Features | null> | undefined

  constructor(parts: TrainingParts) {
    this.#parts = parts
    const { model, data, decode, options } = parts
    const { workers, batchSize, freezeBatchSize, freezeEpochs } = options
    this.#weights = classWeights(options.classWeights, data.train, model.classes)
    this.#batchSize = freezeEpochs > 0 ? Math.max(batchSize, freezeBatchSize) : batchSize
    const count = data.train.length
    const together = normalisedTogether(parts.group, options)
    const capacity = Math.max(
      largestBatch(count, batchSize, together),
      largestBatch(count, freezeBatchSize, together),
    )
    const createBatch = () => model.createBatch(capacity)
    this.#labels = options.sampler === 'balanced' ? data.train.map(({ label }) => label) : null
    this.#loader = new Loader({ samples: data.train, createBatch, decode, workers })
    this.#evaluator = new Evaluator({
      samples: data.validation,
      classes: model.classes,
      preprocessing: model.preprocessing,
      loader: new Loader({ samples: data.validation, createBatch, decode, workers }),
      batchSize: this.#batchSize,
      group: parts.group,
    })
  }

  /** Trains to the end. If the signal stops it, it saves last.pth and throws the signal's reason. */
  async run(): Promise<Omit<TrainingResult, 'directory' | 'seconds'>> {
    const { group, options, signal, state } = this.#parts
    try {
      // Saving before anything is trained also shows whether there is enough room on the disk.
      if (state.epoch === 0 && state.step === 0) await this.#saveLast()
      while (state.epoch < options.epochs && !this.#isStale()) {
        await group.stopIfAborted(signal)
        await this.#trainEpoch()
      }
    } catch (error) {
      if (group.stopped || (signal?.aborted && error === signal.reason)) await this.#saveLast()
      throw error
    }
    const { best, history } = state
    if (best === null) {
      throw refuse(
        `epochs: expected more than the ${state.epoch} epochs that the checkpoint has trained, got ${options.epochs}`,
        'epochs',
      )
    }
    await this.#restoreBest()
    return { reason: state.epoch < options.epochs ? 'early-stopping' : 'completed', best, history }
  }

  /**
   * Evaluates the model as it is on the validation images. Call it on rank 0 only, while the other ranks
   * {@link assist}.
   */
  async evaluate(keepWorst: number): Promise<Evaluation> {
    await this.#parts.group.broadcast(() => ({ keepWorst }))
    return this.#evaluate(keepWorst)
  }

  /** Takes part in the evaluations of rank 0 until it calls {@link dismiss}. Call it on the other ranks. */
  async assist(): Promise<void> {
    const next = () => this.#parts.group.broadcast((): { keepWorst: number } | null => null)
    for (let request = await next(); request !== null; request = await next())
      await this.#evaluate(request.keepWorst)
  }

  async dismiss(): Promise<void> {
    await this.#parts.group.broadcast(() => null)
  }

  #evaluate(keepWorst: number): Promise<Evaluation> {
    return this.#evaluator.run(this.#parts.model.network, { keepWorst, signal: this.#parts.signal })
  }

  async #trainEpoch(): Promise<void> {
    const { data, emit, group, model, options, signal, state, trainer } = this.#parts
    const start = performance.now()
    const frozen = state.epoch < options.freezeEpochs
    const updates = epochUpdates(
      data.train.length,
      frozen ? options.freezeBatchSize : options.batchSize,
      state.microBatches,
      options.seed,
      state.epoch,
      {
        repetitions: options.repeatedAugmentation,
        balancedBy: this.#labels,
        together: normalisedTogether(group, options),
      },
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
    if (group.size > 1) await this.#checkParameters()
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

  /** Trains the remaining updates of the epoch. */
  async #trainUpdates(updates: readonly Update[]): Promise<void> {
    const { emit, group, options, signal, state } = this.#parts
    const { epoch, sums } = state
    const remaining = updates.slice(state.step)
    const feed = await this.#feed(remaining)
    const start = performance.now() - sums.seconds * 1000
    try {
      for (const update of remaining) {
        const learningRate = learningRateAt(options, epoch, state.step / updates.length)
        const { images, loss, correct, gradNorm, stops } = await this.#update(update, feed, learningRate)
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
        if (group.size === 1) signal?.throwIfAborted()
        else group.stopIf(stops, signal)
      }
    } finally {
      await feed.close()
    }
  }

  /**
   * Gives all ranks the batch norm statistics of rank 0, since each rank has seen other images. All parameters must
   * already be equal.
   */
  async #checkParameters(): Promise<void> {
    const { directory, group, state, trainer } = this.#parts
    await trainer.broadcastBuffers()
    const sums = await group.gather(await trainer.checksum())
    const others = sums.flatMap((sum, rank) => (sum === sums[0] ? [] : [rank]))
    if (others.length === 0) return
    throw new VisionTorchError(
      'ERR_DISTRIBUTED',
      `after epoch ${state.epoch + 1}, rank${others.length > 1 ? 's' : ''} ${others.join(', ')} and rank 0 have different ` +
        'parameters. Their processors may compute differently: set VISIONTORCH_KERNELS=avx2 on all ranks, and resume ' +
        `from ${directory.last}`,
    )
  }

  async #feed(updates: readonly Update[]): Promise<Feed> {
    const { data, group, model, options, state, trainer } = this.#parts
    const { classifiesFeatures } = familyOf(model.architecture)
    if (state.epoch < options.freezeEpochs && classifiesFeatures && featuresAreFixed(options)) {
      this.#features ??= this.#computeFeatures()
      const features = await this.#features
      if (features !== null) return featureFeed(trainer, features, data.train)
    }
    const plan = updates.flatMap((update, i) => {
      const first = (state.step + i) * state.microBatches
      return update.flatMap((indices, micro): PlannedBatch[] =>
        micro % group.size === group.rank ? [{ indices, position: first + micro }] : [],
      )
    })
    const { preprocessing } = model
    const batches = trainingBatches(this.#loader, plan, { ...options, epoch: state.epoch, preprocessing })
    return imageFeed(trainer, batches, () => model.createBatch(1))
  }

  async #computeFeatures(): Promise<Features | null> {
    const { data, emit, group, model, signal } = this.#parts
    const message =
      'the backbone is frozen and the images are not augmented, so its features are computed only once'
    emit({ type: 'note', message })
    return computeFeatures(model.network, this.#loader, {
      count: data.train.length,
      batchSize: this.#batchSize,
      transformOf: (_, size) => evalTransform(model.preprocessing, size),
      signal,
      group,
    })
  }

  /**
   * Computes one update. Each micro-batch counts by its weight in the loss of one larger batch. Rank r of n computes the
   * micro-batches r, r + n, ..., and every rank gets the results of all.
   */
  async #update(update: Update, feed: Feed, learningRate: number) {
    const { group, options, signal, state, trainer } = this.#parts
    const whole = update.reduce((sum, indices) => sum + this.#weight(indices), 0)
    const scales = update.map(indices => this.#weight(indices) / whole)
    // Whether a rank was asked to stop, then the loss and the correct predictions of each micro-batch.
    let numbers: Float64Array = new Float64Array(1 + 2 * update.length)
    let gradNorm = Number.NaN
    // Synchronized batch norms need all ranks in each round, until the last.
    const together = normalisedTogether(group, options) > 1
    for (let first = 0; first < update.length; first += group.size) {
      const micro = first + group.rank
      const last = (together ? first : micro) + group.size >= update.length
      const step: StepOptions = {
        learningRate,
        seed: deriveSeed(options.seed, state.epoch, state.step, micro),
        scale: scales[micro] ?? 0,
        update: last && group.size === 1,
        last,
        mixed: null,
      }
      if (micro < update.length) {
        const result = await feed.step(update[micro]!, step)
        numbers.set([result.loss, result.correct], 1 + 2 * micro)
        gradNorm = result.gradNorm
        if (!Number.isFinite(result.loss) && !together) break
      } else if (together) await feed.stepWithout(step)
    }
    if (group.size > 1) {
      numbers[0] = signal?.aborted ? 1 : 0
      ;({ numbers, gradNorm } = await trainer.update(learningRate, numbers))
    }
    const done = { images: 0, loss: 0, correct: 0 }
    for (const [micro, indices] of update.entries()) {
      const [loss, correct] = numbers.subarray(1 + 2 * micro) as unknown as [number, number]
      if (!Number.isFinite(loss)) {
        const what = `the loss became ${loss} in epoch ${state.epoch + 1}, step ${state.step + 1}`
        throw this.#notFinite(what, learningRate)
      }
      done.images += indices.length
      done.loss += loss * scales[micro]!
      done.correct += correct
    }
    return { ...done, gradNorm: Number.isNaN(gradNorm) ? null : gradNorm, stops: numbers[0]! > 0 }
  }

  #weight(indices: Uint32Array): number {
    const weights = this.#weights
    if (weights === null) return indices.length
    const { train } = this.#parts.data
    return indices.reduce((sum, index) => sum + weights[train[index % train.length]!.label]!, 0)
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

  /** Whether the last `earlyStopping` epochs brought no improvement. */
  #isStale(): boolean {
    const { options, state } = this.#parts
    if (options.earlyStopping === null || state.best === null) return false
    return state.epoch - state.best.epoch >= options.earlyStopping
  }

  /**
   * Saves the best weights first: after a crash before last.pth is written, the resumed run repeats the epoch and
   * writes the same again.
   */
  async #saveEpoch(metrics: EpochMetrics, isBest: boolean): Promise<void> {
    const { directory, group, options, state } = this.#parts
    const { saveEvery, keep } = options
    if (!group.isFirst) return
    if (isBest) await this.#save('best', directory.best)
    if (saveEvery !== null && metrics.epoch % saveEvery === 0) {
      await this.#save('periodic', directory.periodic(metrics.epoch))
      if (keep !== null) await directory.removePeriodic(metrics.epoch - keep * saveEvery)
    }
    await this.#savePlatformFiles(metrics, isBest)
    await this.#saveLast()
    await directory.writeMetrics(state.history)
  }

  async #savePlatformFiles({ epoch }: EpochMetrics, isBest: boolean): Promise<void> {
    const { directory, model, options, state, trainer } = this.#parts
    const { epochs, keep, preset, saveEvery } = options
    if (preset !== 'classification-pytorch') return
    const files = new PlatformFiles(directory.path)
    const isPeriodic = (saveEvery !== null && epoch % saveEvery === 0) || epoch === epochs
    await files.write(trainer.ema ?? model.network, state.history, { isBest, isPeriodic })
    if (isPeriodic && saveEvery !== null && keep !== null) {
      const removed = epoch - keep * saveEvery
      await files.remove(state.history.find(metrics => metrics.epoch === removed))
    }
  }

  /** Saves the evaluated weights, for prediction. */
  async #save(kind: 'best' | 'periodic', path: string): Promise<void> {
    const { emit, model, state, trainer } = this.#parts
    await replaceFile(path, file =>
      native().saveModel(file.fd, trainer.ema ?? model.network, this.#metadata(), null),
    )
    emit({ type: 'checkpoint', kind, path, epoch: state.epoch })
  }

  /** Saves everything that a resumed run needs. */
  async #saveLast(): Promise<void> {
    const { directory, emit, group, model, options, savedOptions, state, trainer } = this.#parts
    if (!group.isFirst) return
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
    const { directory, group, model, trainer } = this.#parts
    if (group.isFirst) await model.loadStateDict(directory.best)
    if (group.size > 1) await trainer.broadcast()
  }
}

/** If accuracies are equal, the lower loss is better: with small validation sets, many epochs have equal accuracy. */
function isBetter(
  metrics: EpochMetrics,
  best: EpochMetrics,
  monitor: ResolvedTrainOptions['monitor'],
): boolean {
  if (monitor !== 'loss' && metrics[monitor] !== best[monitor]) return metrics[monitor] > best[monitor]
  return metrics.validationLoss < best.validationLoss
}
