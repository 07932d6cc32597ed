import { check } from './is.js'

const architectures = [
  'vgg11',
  'vgg11_bn',
  'vgg13',
  'vgg13_bn',
  'vgg16',
  'vgg16_bn',
  'vgg19',
  'vgg19_bn',
  'mobilenet_v2',
  'resnet18',
  'resnet34',
  'resnet50',
  'resnet101',
  'resnet152',
  'resnext50_32x4d',
  'resnext101_32x8d',
  'resnext101_64x4d',
  'wide_resnet50_2',
  'wide_resnet101_2',
] as const

/** A network, by torchvision's name. */
export type Architecture = (typeof architectures)[number]

/** The names that `createModel` takes: torchvision's. */
export function listArchitectures(): Architecture[] {
  return [...architectures]
}

/** @internal The name as given, or `ERR_INVALID_ARGUMENT` with the nearest one. */
export function checkArchitecture(name: unknown): Architecture {
  return check.oneOf('architecture', name, architectures)
}

/** @internal The layer whose outputs are the classes, by its name in the state dict. */
export function classifierLayer(architecture: Architecture): string {
  if (architecture.startsWith('vgg')) return 'classifier.6'
  return architecture === 'mobilenet_v2' ? 'classifier.1' : 'fc'
}
