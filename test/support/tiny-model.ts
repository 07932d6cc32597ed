import { type CreateModelOptions, createModel } from '../../lib/model/create-model.js'
import type { Model } from '../../lib/model/model.js'

/** The options of a MobileNetV2 that is created and runs in a moment. */
export const tinyOptions = {
  widthMult: 0.25,
  invertedResidualSetting: [
    [1, 16, 1, 1],
    [2, 16, 2, 2],
  ],
  classes: ['ant', 'bee', 'cow'],
  device: 'cpu',
} satisfies CreateModelOptions

/** Makes a small network for images of 32 x 32 pixels. */
export async function tinyModel(options: CreateModelOptions = {}): Promise<Model> {
  const model = await createModel('mobilenet_v2', { ...tinyOptions, ...options })
  model.preprocessing = { ...model.preprocessing, resize: 36, crop: 32 }
  return model
}
