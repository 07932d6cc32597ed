// `preset: 'seed'`: the recipe of the classification platform that visiontorch re-creates (the last version of
// github.com/bubbliiiing/classification-pytorch): two phases, first with the backbone frozen, with learning rates
// scaled by the batch size, a quadratic warm-up and a flat end, stepped every epoch. Two faults are not repeated:
// weight decay reaches SGD, and frozen batch norms keep their statistics.

/** What the preset changes of the defaults. A function makes a default of the options before it. */
export const seedDefaults: Readonly<Record<string, unknown>> = {
  epochs: 200,
  learningRate: 0.01,
  minLearningRate: ({ learningRate }: { learningRate: number }) => learningRate * 0.01,
  freezeEpochs: ({ epochs }: { epochs: number }) => Math.floor(epochs / 4),
  augmentation: 'autoaugment',
  monitor: 'loss',
  saveEvery: 10,
}

export const seedOptimizers = {
  sgd: { momentum: 0.9, nesterov: true, weightDecay: 5e-4 },
  adam: { weightDecay: 5e-4 },
  adamw: { weightDecay: 5e-4 },
} as const
