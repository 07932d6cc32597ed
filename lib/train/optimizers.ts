import { invalid, refuse } from '../util/is.js'
import * as kinds from './kinds.js'

// The table of optimizers. A new one needs a row here and a file in native/train/.

const betas: kinds.Kind<[number, number]> = {
  placeholder: '',
  check(name, value) {
    if (!Array.isArray(value) || value.length !== 2)
      throw invalid(name, 'two numbers from 0 to below 1', value)
    return [kinds.fraction.check(`${name}[0]`, value[0]), kinds.fraction.check(`${name}[1]`, value[1])]
  },
  parse: text => text,
}

const adam = (weightDecay: number) => ({
  betas: kinds.property(betas, [0.9, 0.999]),
  eps: kinds.property(kinds.positive, 1e-8),
  weightDecay: kinds.property(kinds.number(0), weightDecay),
})

/**
 * The hyperparameters of each optimizer. Names and defaults are PyTorch's, except for SGD's momentum and weight
 * decay.
 */
const hyperparameters = {
  sgd: {
    momentum: kinds.property(kinds.fraction, 0.9),
    dampening: kinds.property(kinds.fraction, 0),
    nesterov: kinds.property(kinds.boolean, false),
    weightDecay: kinds.property(kinds.number(0), 1e-4),
  },
  adam: adam(0),
  adamw: adam(0.01),
}

export type OptimizerName = keyof typeof hyperparameters

/** The default of `learningRate` for each optimizer. */
export const defaultLearningRates: Readonly<Record<OptimizerName, number>> = {
  sgd: 0.01,
  adam: 0.001,
  adamw: 0.001,
}

const anyOptimizer = kinds.variant(hyperparameters)

/** The option `optimizer`. */
export const optimizer: typeof anyOptimizer = {
  ...anyOptimizer,
  check(name, value) {
    const checked = anyOptimizer.check(name, value)
    if (checked.name === 'sgd' && checked.nesterov && (checked.momentum === 0 || checked.dampening > 0))
      throw refuse(`${name}.nesterov: expected a momentum above 0 and no dampening`, name)
    return checked
  },
}

/** "sgd (momentum, dampening, nesterov, weightDecay), adam (...)" */
export const optimizerHelp = Object.entries(hyperparameters)
  .map(([name, properties]) => `${name} (${Object.keys(properties).join(', ')})`)
  .join(', ')

/** "0.01 for sgd, 0.001 for adam" */
export const learningRateHelp = Object.entries(defaultLearningRates)
  .map(([name, learningRate]) => `${learningRate} for ${name}`)
  .join(', ')
