import type { Dataset } from '../data/dataset.js'
import { type DistributedSettings, resolveDistributed } from '../distributed/settings.js'
import { check, invalid, is, refuse } from '../util/is.js'
import type { OptimizerName } from './optimizers.js'
import { type Preset, presets } from './preset.js'
import { recipeOf } from './recipe.js'
import { type GivenTrainOptions, type OptionRow, optionTable, type ResolvedTrainOptions } from './table.js'

/** Options of {@link train}. All but `data` have a default. A resumed run takes over the options of the earlier run. */
export interface TrainOptions extends GivenTrainOptions {
  /** A folder of images, `DIR/train/<class>/*.jpg` and `DIR/val/<class>/*.jpg`, or an open data set. */
  data?: string | Dataset
  /** Stops the run: it finishes the step, saves last.pth and rejects with an `AbortError`. */
  signal?: AbortSignal
  /**
   * Shares the training with the other processes of a job, which all call `train()` with the same arguments. `true` reads the
   * rank of the process from its launcher (torchrun, Slurm, mpirun, Kubeflow). Each process trains on its own images, in
   * batches of `batchSize`, and only rank 0 writes files. Default false.
   */
  distributed?: boolean | DistributedSettings
}

/**
 * @param family The family of the network: some families have other defaults.
 * @throws ERR_INVALID_ARGUMENT for an unknown option, a value out of its range, or values that contradict each other.
 */
export function resolveOptions(options: TrainOptions, family?: string): ResolvedTrainOptions {
  if (!is.object(options)) throw invalid('options', 'an object with data and training options', options)
  check.options('options', options, ['data', 'signal', 'distributed', ...Object.keys(optionTable)])
  resolveDistributed(options.distributed)
  const name = optionTable.preset.kind.check('preset', options.preset ?? null)
  const recipe = family === undefined ? null : recipeOf(family)
  const preset: Preset = name === null ? (recipe ?? { defaults: {}, optimizers: {} }) : presets[name]
  const optimizer = withDefaults(options.optimizer ?? preset.defaults.optimizer, preset.optimizers)
  const given = { ...options, preset: name, optimizer }
  const resolved: Record<string, unknown> = {}
  for (const [name, row] of Object.entries<OptionRow<unknown>>(optionTable)) {
    const own = (given as Record<string, unknown>)[name]
    const fallback = preset.defaults[name] ?? row.default
    const value = own ?? (typeof fallback === 'function' ? fallback(resolved) : fallback)
    resolved[name] = row.kind.check(name, own === null ? null : value)
  }
  contradictions(resolved as ResolvedTrainOptions)
  return resolved as ResolvedTrainOptions
}

/** The option `optimizer`, completed with the preset's defaults. */
function withDefaults(given: unknown, optimizers: Preset['optimizers']): unknown {
  const chosen = is.object(given) ? given : { name: given ?? 'sgd' }
  const defaults = optimizers[chosen.name as OptimizerName]
  return defaults === undefined ? given : { ...defaults, ...chosen }
}

/** @internal The names of the options that differ from their defaults. */
export function differingOptions(options: Readonly<Record<string, unknown>>): string[] {
  const isDefault = (name: string, value: unknown): boolean => {
    const row = (optionTable as Record<string, OptionRow<unknown>>)[name]
    const fallback = typeof row?.default === 'function' ? row.default(options as never) : row?.default
    return JSON.stringify(value) === JSON.stringify(fallback)
  }
  return Object.entries(options).flatMap(([name, value]) => (isDefault(name, value) ? [] : [name]))
}

function contradictions(options: ResolvedTrainOptions): void {
  const { epochs, warmupEpochs, freezeEpochs, learningRate, minLearningRate, keep, saveEvery } = options
  if (warmupEpochs > 0 && warmupEpochs >= epochs) {
    throw refuse(
      `warmupEpochs: expected less than epochs (${epochs}), got ${warmupEpochs}`,
      'warmupEpochs',
      'epochs',
    )
  }
  if (options.sampler === 'balanced' && options.classWeights === 'balanced') {
    throw refuse(
      "sampler: 'balanced' and classWeights: 'balanced' would each compensate for classes of different sizes. Leave one of them out",
      'sampler',
      'classWeights',
    )
  }
  if (options.sampler === 'balanced' && options.repeatedAugmentation > 1) {
    throw refuse(
      "sampler: 'balanced' draws the copies of an image itself. Leave out repeatedAugmentation",
      'sampler',
      'repeatedAugmentation',
    )
  }
  if (freezeEpochs > epochs) {
    throw refuse(
      `freezeEpochs: expected at most epochs (${epochs}), got ${freezeEpochs}`,
      'freezeEpochs',
      'epochs',
    )
  }
  if (minLearningRate > learningRate) {
    throw refuse(
      `minLearningRate: expected at most learningRate (${learningRate}), got ${minLearningRate}`,
      'minLearningRate',
      'learningRate',
    )
  }
  if (keep !== null && saveEvery === null) {
    throw refuse(
      'keep: expected saveEvery as well, because keep counts the checkpoints that saveEvery writes',
      'keep',
      'saveEvery',
    )
  }
}
