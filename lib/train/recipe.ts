import { defaultLearningRates } from './optimizers.js'
import type { Earlier, Preset } from './preset.js'

/**
 * Defaults for networks with layer norms, which SGD trains badly: AdamW with a warm-up, as in torchvision's references for
 * these families, with a learning rate for fine-tuning.
 */
const layerNormRecipe: Preset = {
  defaults: {
    optimizer: 'adamw',
    learningRate: ({ optimizer }: Earlier) =>
      optimizer.name === 'adamw' ? 1e-4 : defaultLearningRates[optimizer.name],
    warmupEpochs: ({ epochs }: Earlier) => epochs / 10,
    normWeightDecay: 0,
    clipGradNorm: 1,
  },
  optimizers: { adamw: { weightDecay: 0.05 } },
}

/** Names from `native/nn/registry.cc`. Swin Transformer V2 belongs to the same family as V1. */
const families = ['convnext', 'maxvit', 'swin_transformer', 'vision_transformer']

/** The defaults of a family of networks that differ from the table's, or null if none do. */
export function recipeOf(family: string): Preset | null {
  return families.includes(family) ? layerNormRecipe : null
}

/** A sentence whose subject is the name of a network. */
export const RECIPE_NOTE =
  'is trained with AdamW, a warm-up of a tenth of the epochs, clipped gradients and no weight decay of its norms, unless ' +
  'you set these options'
