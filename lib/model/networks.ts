import type { Architecture } from './architectures.js'
import { type CreateModelOptions, createModel } from './create-model.js'
import type { Model } from './model.js'

const shorthand =
  (architecture: Architecture) =>
  (options?: CreateModelOptions): Promise<Model> =>
    createModel(architecture, options)

// A function for each network: `resnet50(options)` is `createModel('resnet50', options)`.

export const vgg11 = shorthand('vgg11')
export const vgg11Bn = shorthand('vgg11_bn')
export const vgg13 = shorthand('vgg13')
export const vgg13Bn = shorthand('vgg13_bn')
export const vgg16 = shorthand('vgg16')
export const vgg16Bn = shorthand('vgg16_bn')
export const vgg19 = shorthand('vgg19')
export const vgg19Bn = shorthand('vgg19_bn')
export const mobilenetV2 = shorthand('mobilenet_v2')
export const resnet18 = shorthand('resnet18')
export const resnet34 = shorthand('resnet34')
export const resnet50 = shorthand('resnet50')
export const resnet101 = shorthand('resnet101')
export const resnet152 = shorthand('resnet152')
export const resnext50_32x4d = shorthand('resnext50_32x4d')
export const resnext101_32x8d = shorthand('resnext101_32x8d')
export const resnext101_64x4d = shorthand('resnext101_64x4d')
export const wideResnet50_2 = shorthand('wide_resnet50_2')
export const wideResnet101_2 = shorthand('wide_resnet101_2')
