import { deprecate } from 'node:util'
import * as kinds from './kinds.js'
import type { OptimizerName } from './optimizers.js'

/** The options on which the defaults of other options depend. */
export interface Earlier {
  epochs: number
  batchSize: number
  optimizer: { name: OptimizerName }
  learningRate: number
}

export interface Preset {
  /** Defaults that replace those of the table; a function receives the options of earlier rows of the table. */
  defaults: Readonly<Record<string, unknown>>
  /** Hyperparameters that replace the defaults of an optimizer. */
  optimizers: Readonly<Partial<Record<OptimizerName, object>>>
}

export const presets = {
  // The recipe of the classification platform that visiontorch re-creates (the last version of
  // github.com/bubbliiiing/classification-pytorch): two phases, first with the backbone frozen, with learning rates scaled
  // by the batch size, a quadratic warm-up and a flat end, updated once per epoch (learningRateAt). Two of its bugs are
  // fixed here: weight decay reaches SGD, and frozen batch norms keep their statistics.
  'classification-pytorch': {
    defaults: {
      epochs: 200,
      learningRate: 0.01,
      minLearningRate: ({ learningRate }: Earlier) => learningRate * 0.01,
      freezeEpochs: ({ epochs }: Earlier) => Math.floor(epochs / 4),
      augmentation: 'autoaugment',
      autoOrient: false,
      monitor: 'loss',
      saveEvery: 10,
    },
    optimizers: {
      sgd: { momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
      adam: { weightDecay: 5e-4 },
      adamw: { weightDecay: 5e-4 },
    },
  },
} satisfies Record<string, Preset>

type PresetName = keyof typeof presets

const named = kinds.choice(...(Object.keys(presets) as PresetName[]))

const renamed = deprecate(
  (): PresetName => 'classification-pytorch',
  "preset: 'seed' is now named 'classification-pytorch'. Use that name, because 'seed' is also an option",
  'VISIONTORCH_PRESET_SEED',
)

/** The name of a preset. `'seed'` is a deprecated name. */
export const preset: kinds.Kind<PresetName, PresetName | 'seed'> = {
  ...named,
  check: (name, value) => (value === 'seed' ? renamed() : named.check(name, value)),
}
