/** Names of other programs for torchvision's networks. */
export const architectureAliases = {
  mobilenet: 'mobilenet_v2',
  mobilenetv2: 'mobilenet_v2',
  swin_transformer_tiny: 'swin_t',
  swin_transformer_small: 'swin_s',
  swin_transformer_base: 'swin_b',
  vit: 'vit_b_16',
} as const

/** Another name that is taken for a network's. */
export type ArchitectureAlias = keyof typeof architectureAliases

/** torchvision's name for a network that may be given by another; names that are neither stay as they are. */
export const withoutAlias = <T>(name: T): T | string =>
  typeof name === 'string' && Object.hasOwn(architectureAliases, name)
    ? architectureAliases[name as ArchitectureAlias]
    : name
