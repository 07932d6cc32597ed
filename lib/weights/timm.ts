/** torchvision's networks by timm's names, for those that timm builds in the same way: see docs/checkpoints.md. */
const networks: Readonly<Record<string, string>> = {
  inception_v3: 'inception_v3',
  mnasnet_050: 'mnasnet0_5',
  mnasnet_075: 'mnasnet0_75',
  mnasnet_100: 'mnasnet1_0',
  mobilenetv2_100: 'mobilenet_v2',
  regnetx_004_tv: 'regnet_x_400mf',
  regnetx_008: 'regnet_x_800mf',
  regnetx_016: 'regnet_x_1_6gf',
  regnetx_032: 'regnet_x_3_2gf',
  regnetx_080: 'regnet_x_8gf',
  regnetx_160: 'regnet_x_16gf',
  regnety_004: 'regnet_y_400mf',
  regnety_008_tv: 'regnet_y_800mf',
  regnety_016: 'regnet_y_1_6gf',
  regnety_032: 'regnet_y_3_2gf',
  regnety_080_tv: 'regnet_y_8gf',
  regnety_160: 'regnet_y_16gf',
  swin_base_patch4_window7_224: 'swin_b',
  swin_small_patch4_window7_224: 'swin_s',
  swin_tiny_patch4_window7_224: 'swin_t',
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
  ...same('convnext_tiny', 'convnext_small', 'convnext_base', 'convnext_large'),
}

function same(...names: string[]): Record<string, string> {
  return Object.fromEntries(names.map(name => [name, name]))
}

/** torchvision's name for a network of timm, with or without a tag (`resnet50.a1_in1k`); undefined if it has none. */
export function fromTimm(name: string): string | undefined {
  const [network = ''] = name.split('.', 1)
  return Object.hasOwn(networks, network) ? networks[network] : undefined
}
