import { formatSize, type InputSize, toSize } from '../image/size.js'
import { type Family, native } from '../native/native.js'
import { check, refuse } from '../util/is.js'
import { withoutAlias } from '../weights/aliases.js'

/** A network, by torchvision's name. */
export type Architecture =
  | 'vgg11'
  | 'vgg11_bn'
  | 'vgg13'
  | 'vgg13_bn'
  | 'vgg16'
  | 'vgg16_bn'
  | 'vgg19'
  | 'vgg19_bn'
  | 'mobilenet_v2'
  | 'mobilenet_v3_large'
  | 'mobilenet_v3_small'
  | 'efficientnet_b0'
  | 'efficientnet_b1'
  | 'efficientnet_b2'
  | 'efficientnet_b3'
  | 'efficientnet_b4'
  | 'efficientnet_b5'
  | 'efficientnet_b6'
  | 'efficientnet_b7'
  | 'efficientnet_v2_s'
  | 'efficientnet_v2_m'
  | 'efficientnet_v2_l'
  | 'regnet_y_400mf'
  | 'regnet_y_800mf'
  | 'regnet_y_1_6gf'
  | 'regnet_y_3_2gf'
  | 'regnet_y_8gf'
  | 'regnet_y_16gf'
  | 'regnet_y_32gf'
  | 'regnet_y_128gf'
  | 'regnet_x_400mf'
  | 'regnet_x_800mf'
  | 'regnet_x_1_6gf'
  | 'regnet_x_3_2gf'
  | 'regnet_x_8gf'
  | 'regnet_x_16gf'
  | 'regnet_x_32gf'
  | 'mnasnet0_5'
  | 'mnasnet0_75'
  | 'mnasnet1_0'
  | 'mnasnet1_3'
  | 'resnet18'
  | 'resnet34'
  | 'resnet50'
  | 'resnet101'
  | 'resnet152'
  | 'resnext50_32x4d'
  | 'resnext101_32x8d'
  | 'resnext101_64x4d'
  | 'wide_resnet50_2'
  | 'wide_resnet101_2'
  | 'densenet121'
  | 'densenet161'
  | 'densenet169'
  | 'densenet201'
  | 'shufflenet_v2_x0_5'
  | 'shufflenet_v2_x1_0'
  | 'shufflenet_v2_x1_5'
  | 'shufflenet_v2_x2_0'
  | 'squeezenet1_0'
  | 'squeezenet1_1'
  | 'alexnet'
  | 'googlenet'
  | 'inception_v3'
  | 'convnext_tiny'
  | 'convnext_small'
  | 'convnext_base'
  | 'convnext_large'
  | 'vit_b_16'
  | 'vit_b_32'
  | 'vit_l_16'
  | 'vit_l_32'
  | 'vit_h_14'
  | 'swin_t'
  | 'swin_s'
  | 'swin_b'
  | 'swin_v2_t'
  | 'swin_v2_s'
  | 'swin_v2_b'
  | 'maxvit_t'

let known: Family[] | undefined

/** @internal All networks, as the addon lists them. */
export function families(): Family[] {
  known ??= native().families()
  return known
}

/** The names that `createModel` takes: torchvision's. */
export function listArchitectures(): Architecture[] {
  return families().flatMap(({ architectures }) => architectures) as Architecture[]
}

/** @internal torchvision's name. Throws `ERR_INVALID_ARGUMENT` with the most similar one if there is none. */
export function checkArchitecture(name: unknown): Architecture {
  return check.oneOf('architecture', withoutAlias(name), listArchitectures())
}

/** @internal */
export function familyOf(architecture: Architecture): Family {
  return families().find(({ architectures }) => architectures.includes(architecture))!
}

/**
 * @internal The options that `createModel` needs for images of this size: `imageSize` if the network takes only one size.
 * @throws ERR_INVALID_ARGUMENT if that network takes only square images, and the size is not square.
 */
export function sizeOption(
  architecture: Architecture,
  inputSize: InputSize | null | undefined,
): { imageSize?: number } {
  const isFixed = familyOf(checkArchitecture(architecture)).options.includes('imageSize')
  if (!isFixed || !inputSize) return {}
  const { width, height } = toSize(inputSize)
  if (width === height) return { imageSize: width }
  throw refuse(
    `inputSize: ${architecture} takes only square images, got ${formatSize(inputSize)} (height x width)`,
    'inputSize',
  )
}

/** @internal The layer whose outputs are the classes, by its name in the state dict. */
export function classifierLayer(architecture: Architecture): string {
  return familyOf(architecture).classifierLayer
}
