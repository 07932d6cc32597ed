import type { NetworkOptions } from '../native/native.js'

/** A network of torchvision, and the constructor's options with which it computes the same as timm's. */
export interface TimmNetwork {
  architecture: string
  options: NetworkOptions
}

/** torchvision's networks by timm's names: see docs/checkpoints.md. */
const networks: Readonly<Record<string, string>> = {
  inception_v3: 'inception_v3',
  mnasnet_050: 'mnasnet0_5',
  mnasnet_075: 'mnasnet0_75',
  mnasnet_100: 'mnasnet1_0',
  mobilenetv2_100: 'mobilenet_v2',
  mobilenetv3_large_100: 'mobilenet_v3_large',
  mobilenetv3_small_100: 'mobilenet_v3_small',
  efficientnetv2_s: 'efficientnet_v2_s',
  efficientnetv2_m: 'efficientnet_v2_m',
  efficientnetv2_l: 'efficientnet_v2_l',
  regnetx_004_tv: 'regnet_x_400mf',
  regnetx_008: 'regnet_x_800mf',
  regnetx_016: 'regnet_x_1_6gf',
  regnetx_032: 'regnet_x_3_2gf',
  regnetx_080: 'regnet_x_8gf',
  regnetx_160: 'regnet_x_16gf',
  regnetx_320: 'regnet_x_32gf',
  regnety_004: 'regnet_y_400mf',
  regnety_008_tv: 'regnet_y_800mf',
  regnety_016: 'regnet_y_1_6gf',
  regnety_032: 'regnet_y_3_2gf',
  regnety_080_tv: 'regnet_y_8gf',
  regnety_160: 'regnet_y_16gf',
  regnety_320: 'regnet_y_32gf',
  regnety_1280: 'regnet_y_128gf',
  swin_base_patch4_window7_224: 'swin_b',
  swin_small_patch4_window7_224: 'swin_s',
  swin_tiny_patch4_window7_224: 'swin_t',
  swinv2_base_window8_256: 'swin_v2_b',
  swinv2_small_window8_256: 'swin_v2_s',
  swinv2_tiny_window8_256: 'swin_v2_t',
  vit_base_patch16_224: 'vit_b_16',
  vit_base_patch16_384: 'vit_b_16',
  vit_base_patch32_224: 'vit_b_32',
  vit_base_patch32_384: 'vit_b_32',
  vit_large_patch16_224: 'vit_l_16',
  vit_large_patch16_384: 'vit_l_16',
  ...same('resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152'),
  ...same('resnext50_32x4d', 'resnext101_32x8d', 'resnext101_64x4d', 'wide_resnet50_2', 'wide_resnet101_2'),
  ...same('vgg11', 'vgg13', 'vgg16', 'vgg19', 'vgg11_bn', 'vgg13_bn', 'vgg16_bn', 'vgg19_bn'),
  ...same('densenet121', 'densenet161', 'densenet169', 'densenet201'),
  ...same('efficientnet_b0', 'efficientnet_b1', 'efficientnet_b2', 'efficientnet_b3', 'efficientnet_b4'),
  ...same('efficientnet_b5', 'efficientnet_b6', 'efficientnet_b7'),
  ...same('convnext_tiny', 'convnext_small', 'convnext_base', 'convnext_large'),
}

function same(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map(name => [name, name]))
}

/** Networks whose batch norms have PyTorch's epsilon in timm, and another in torchvision. */
const OTHER_EPS = /^(mobilenet_v3|efficientnet_b[567]$|efficientnet_v2)/
const TIMM_EPS = 1e-5

/** The network that timm's name stands for, with or without a tag (`resnet50.a1_in1k`); undefined if torchvision has none. */
export function fromTimm(name: string): TimmNetwork | undefined {
  const [network = ''] = name.split('.', 1)
  if (!Object.hasOwn(networks, network)) return undefined
  const architecture = networks[network]!
  return { architecture, options: OTHER_EPS.test(architecture) ? { batchNormEps: TIMM_EPS } : {} }
}
