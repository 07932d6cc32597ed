import type { TrainerOptions } from '../../lib/native/native.js'

/** Makes a trainer that subtracts exactly the gradient times the learning rate. */
export const plainSgd: TrainerOptions = {
  optimizer: { name: 'sgd', momentum: 0, dampening: 0, nesterov: false, weightDecay: 0 },
  labelSmoothing: 0,
  classWeights: null,
  clipGradNorm: null,
  ema: null,
  dtype: 'float32',
}
