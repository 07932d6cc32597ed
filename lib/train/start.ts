import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { cachedDecode, type Decode } from '../data/cache.js'
import type { Dataset } from '../data/dataset.js'
import { decodeByPath, decodeSample } from '../data/decode-sample.js'
import { isUnnamed } from '../data/labels.js'
import { toDataset } from '../data/open.js'
import { checkAgreement } from '../distributed/agreement.js'
import { type Group, withGroup } from '../distributed/group.js'
import { ownShare } from '../distributed/rounds.js'
import { shareFile } from '../distributed/share-file.js'
import { familyOf } from '../model/architectures.js'
import { checkReport } from '../model/load-report.js'
import { checkModel, type Model } from '../model/model.js'
import { type NativeCheckpoint, native } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { temporaryPath } from '../util/files.js'
import { is, refuse } from '../util/is.js'
import { commonParts } from './agreement.js'
import {
  checkBatchNorm,
  checkPresent,
  classWeights,
  fitBatchSizes,
  readable,
  resizedTo,
  type TrainingData,
  trainingData,
} from './data.js'
import { RunDirectory } from './directory.js'
import type { TrainingEvent, TrainingResult } from './events.js'
import { Training } from './loop.js'
import type { Observe, Observer } from './observer.js'
import { resolveOptions, type TrainOptions } from './options.js'
import { RECIPE_NOTE, recipeOf } from './recipe.js'
import { TrainingRun } from './run.js'
import { newState, type SavedRun, savedRun, type TrainingState } from './state.js'
import type { ResolvedTrainOptions } from './table.js'

const inTraining = new WeakSet<Model>()

/** Starts the run of `train()`, with observers that follow it. */
export function startTraining(
  model: Model,
  options: TrainOptions,
  observe: readonly Observe[] = [],
): TrainingRun {
  return new TrainingRun(async emit => {
    checkModel(model)
    if (inTraining.has(model)) {
      throw new VisionTorchError(
        'ERR_INVALID_ARGUMENT',
        'the model is already being trained. Await that run first',
      )
    }
    inTraining.add(model)
    try {
      resolveOptions(options) // before anything is read or written
      return await withGroup(options.distributed, group => start(model, options, observe, emit, group))
    } finally {
      inTraining.delete(model)
    }
  })
}

async function start(
  model: Model,
  given: TrainOptions,
  observe: readonly Observe[],
  emit: (event: TrainingEvent) => void,
  group: Group,
): Promise<TrainingResult> {
  const { signal } = given
  await group.stopIfAborted(signal)
  const resumeFrom = await group.broadcast(() => checkpointToResume(given))
  const local = group.isFirst ? resumeFrom : temporaryPath(tmpdir())
  const checkpoint = resumeFrom === null ? null : await openShared(group, local!, given.resume === true)
  try {
    const saved = checkpoint === null ? null : savedRun(checkpoint.inspect().metadata, resumeFrom!)
    checkClasses(saved, model, resumeFrom)
    const merged = { ...saved?.options, ...withoutUndefined(given) } as TrainOptions
    const family = familyOf(model.architecture).name
    let options = resolveOptions(merged, family)
    if (saved === null && recipeOf(family) !== null && !given.preset && !given.optimizer)
      emit({ type: 'note', message: `${model.architecture} ${RECIPE_NOTE}` })
    if (model.frozen || options.freeze === 'classifier')
      options = { ...options, freezeEpochs: options.epochs }
    if (model.quantization !== null) {
      throw new VisionTorchError(
        'ERR_INVALID_ARGUMENT',
        `this ${model.architecture} is quantised, and a quantised model cannot be trained. Load the float checkpoint that it was ` +
          'made from, train that model, and quantise the result',
      )
    }
    if (model.dtype !== 'float32') {
      throw new VisionTorchError(
        'ERR_INVALID_ARGUMENT',
        "the model's weights are bfloat16, which is too coarse for training. Convert it with model.to(device, 'float32'), and " +
          "train with dtype: 'bfloat16' for speed",
      )
    }
    if (options.dtype === 'float16' && model.device === 'cpu')
      throw refuse(
        "dtype: 'float16' needs a GPU, and the model is on the CPU. Use 'bfloat16' or 'float32'",
        'dtype',
      )
    const dataset = await toDataset(merged.data, {
      ...(saved !== null && { modelClasses: model.classes }),
      signal,
    })
    for (const message of dataset.warnings) emit({ type: 'warning', message })
    if (given.resume === true && checkpoint === null) {
      emit({
        type: 'warning',
        message: `${resumeFrom} does not exist, so training starts from the beginning`,
      })
    }
    const { autoOrient } = resizedTo(model.preprocessing, options)
    const decodeImage: Decode = sample => decodeSample(sample, { autoOrient })
    const cached = cachedDecode(options.cache, decodeImage, autoOrient ? ' upright' : '')
    const all = trainingData(model, dataset)
    if (typeof dataset.source === 'string' && options.onUnreadable === 'stop')
      await checkPresent(dataset, all, signal)
    const data = await usable(all, options, cached, emit, signal, group)
    options = fitBatchSizes(options, merged, data.train.length)
    model.preprocessing = resizedTo(model.preprocessing, options) // prediction must preprocess images in the same way
    checkBatchNorm(model, options, group)
    const sameDirectory =
      resumeFrom !== null && basename(resumeFrom) === 'last.pth' ? dirname(resumeFrom) : null
    const openDirectory = () =>
      RunDirectory.open(options.directory ?? sameDirectory, model.architecture, options.resume !== false)
    const directory = RunDirectory.of(await group.broadcast(async () => (await openDirectory()).path))
    await checkAgreement(group, commonParts(model, options, dataset, data))
    const trainer = await native().createTrainer(model.network, {
      ...options,
      freeze: options.freeze === 'classifier' ? null : options.freeze,
      labelSmoothing: options.labelSmoothing,
      classWeights: classWeights(options.classWeights, data.train, model.classes),
      ema: options.ema === null ? null : { decay: options.ema },
    })
    const microBatches =
      (given.gradientAccumulation === undefined ? saved?.state.microBatches : null) ??
      options.gradientAccumulation * group.size
    const state = { ...(saved?.state ?? newState()), microBatches }
    if (checkpoint !== null) {
      // These are the raw weights: the trainer loads their average itself.
      const which = { averaged: false, classifier: 'whole', strict: true } as const
      const report = await model.network.loadStateDict(checkpoint, which)
      const { architecture } = model
      const expected = { path: resumeFrom!, checkpoint, architecture, strict: true }
      await checkReport(report, expected)
      if (state.epoch > 0 || state.step > 0) model.markTrained()
      // Before the first update, there is no optimizer state and no average of the weights.
      if (state.epoch > 0 || state.step > 0) await trainer.loadState(checkpoint)
      if (!(await group.broadcast(() => directory.adoptBest(dirname(resumeFrom!))))) state.best = null
    }
    if (group.native !== null) {
      await trainer.join(group.native)
      await trainer.broadcast()
    }
    const config = runConfig(model, options, dataset, data)
    if (group.isFirst) {
      await directory.writeConfig(config)
      await directory.writeClasses(model.classes)
    }
    if (group.size > 1) emit({ type: 'note', message: describeBatches(group, options, state) })
    const firstEpoch = state.epoch + 1
    emit({
      type: 'start',
      directory: directory.path,
      architecture: model.architecture,
      classes: model.classes,
      device: model.device,
      epochs: options.epochs,
      firstEpoch,
      trainImages: data.train.length,
      validationImages: data.validation.length,
      options,
    })
    const observers: Observer[] = []
    for (const begin of group.isFirst ? observe : []) {
      const observer = await begin({ directory: directory.path, firstEpoch, options })
      if (observer !== null) observers.push(observer)
    }
    const training = new Training({
      model,
      trainer,
      data,
      decode: cached,
      options,
      savedOptions: savedOptions(merged),
      directory,
      state,
      emit(event) {
        for (const observer of observers) observer.event?.(event)
        emit(event)
      },
      signal,
      group,
    })
    const start = performance.now()
    const outcome = await training
      .run()
      .finally(() => Promise.all(observers.map(observer => observer.close?.())))
    for (const observer of observers) {
      await observer.trained?.({
        directory: directory.path,
        config,
        best: outcome.best,
        history: outcome.history,
        evaluate: keepWorst => training.evaluate(keepWorst),
        decode: decodeByPath(data.validation, { autoOrient }),
        warn: message => emit({ type: 'warning', message }),
      })
    }
    if (group.isFirst) await training.dismiss()
    else await training.assist()
    const result = { ...outcome, directory: directory.path, seconds: (performance.now() - start) / 1000 }
    emit({ type: 'end', ...result })
    return result
  } finally {
    checkpoint?.dispose()
    if (!group.isFirst) await rm(local!, { force: true })
  }
}

/** Describes the batches of the processes and of an update, because the learning rate must suit the latter. */
function describeBatches(
  group: Group,
  { batchSize }: ResolvedTrainOptions,
  { microBatches }: TrainingState,
): string {
  return (
    `${group.size} processes, each with batches of ${batchSize} images: ` +
    `${microBatches * batchSize} images per update (batchSize x gradientAccumulation x processes)`
  )
}

/**
 * Opens a checkpoint of rank 0 on all ranks; the others open a copy at `path`. Returns null if an optional file is
 * absent.
 */
async function openShared(group: Group, path: string, optional: boolean): Promise<NativeCheckpoint | null> {
  const own = group.isFirst ? await openIfThere(path, optional) : null
  if (group.size === 1 || !(await group.broadcast(() => own !== null))) return own
  await shareFile(group, path, path)
  return own ?? openIfThere(path, false)
}

/** The content of config.json: the model, data, options and versions of the run. */
function runConfig(
  model: Model,
  options: ResolvedTrainOptions,
  dataset: Dataset,
  data: TrainingData,
): Record<string, unknown> {
  const { libtorchVersion, threads, kernels } = native().runtimeInfo()
  return {
    architecture: model.architecture,
    classes: model.classes,
    preprocessing: model.preprocessing,
    device: model.device,
    data: { root: dataset.root, train: data.train.length, validation: data.validation.length },
    options,
    versions: { libtorch: libtorchVersion, node: process.versions.node },
    threads,
    kernels,
  }
}

/** The file to continue from, or null. */
function checkpointToResume({ resume, directory }: TrainOptions): string | null {
  if (is.string(resume)) return resolve(resume)
  if (resume !== true) return null
  if (is.string(directory)) return join(resolve(directory), 'last.pth')
  throw refuse('resume: true needs directory, the folder of the run to continue', 'resume', 'directory')
}

/** Removes undefined entries, which would override the saved options. */
function withoutUndefined(options: TrainOptions): Partial<TrainOptions> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined))
}

/**
 * The options that a resumed run takes over: those that the caller passed, except for those about how and where the
 * run works.
 */
function savedOptions(options: TrainOptions): Record<string, unknown> {
  const { signal: _, resume: _r, directory: _d, workers: _w, distributed: _p, data, ...rest } = options
  // A data set that only the program can open has to be passed again when the run resumes.
  if (is.object(data) && data.source === null) return rest
  return { data: is.string(data) ? resolve(data) : (data!.source ?? data!.root), ...rest }
}

async function openIfThere(path: string, optional: boolean): Promise<NativeCheckpoint | null> {
  try {
    return await native().openCheckpoint(path, { verify: true })
  } catch (error) {
    if (optional && error instanceof VisionTorchError && error.code === 'ERR_FILE_NOT_FOUND') return null
    throw error
  }
}

function checkClasses(saved: SavedRun | null, model: Model, path: string | null): void {
  const classes = saved?.classes ?? null
  if (classes === null || classes.join('\n') === model.classes.join('\n')) return
  if (isUnnamed(model.classes) && classes.length === model.numClasses) return
  throw new VisionTorchError(
    'ERR_CHECKPOINT_MISMATCH',
    `${path}: its classes differ from those of the model. Create the model with the same classes in the same order, or ` +
      'load it from this file',
  )
}

async function usable(
  data: TrainingData,
  options: ResolvedTrainOptions,
  decodeImage: Decode,
  emit: (event: TrainingEvent) => void,
  signal: AbortSignal | undefined,
  group: Group,
): Promise<TrainingData> {
  if (options.onUnreadable === 'stop') return data
  const skipped = (cause: VisionTorchError) =>
    emit({ type: 'warning', message: `skipped: ${cause.message}`, cause })
  const filter = async (samples: TrainingData['train']) => {
    const own = ownShare(group, samples)
    const good = new Set(await readable(own, decodeImage, options.workers, signal, skipped))
    const flags = await group.gather(own.map(sample => good.has(sample)))
    const kept = samples.filter((_, i) => flags[i % group.size]![Math.floor(i / group.size)])
    if (kept.length > 0) return kept
    throw new VisionTorchError(
      'ERR_DATASET',
      'none of the images can be read. See the warnings for the causes',
    )
  }
  return { train: await filter(data.train), validation: await filter(data.validation) }
}
