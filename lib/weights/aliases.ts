/** Names of other programs for torchvision's networks. */
export const architectureAliases = {
  mobilenet: 'mobilenet_v2',
  mobilenetv2: 'mobilenet_v2',
  swin_transformer_tiny: 'swin_t',
  swin_transformer_small: 'swin_s',
  swin_transformer_base: 'swin_b',
  vit: 'vit_b_16',
} as const

/** A name that other programs use for a network. */
export type ArchitectureAlias = keyof typeof architectureAliases

/** torchvision's name for a network's name or alias; other strings stay as they are. */
export const withoutAlias = <T>(name: T): T | string =>
  typeof name === 'string' && Object.hasOwn(architectureAliases, name)
    ? architectureAliases[name as ArchitectureAlias]
    : name
