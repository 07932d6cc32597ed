import type { Architecture } from './architectures.js'
import { VisionTorchError } from './errors.js'
import { check, invalid } from './is.js'
import type { NetworkOptions } from './native.js'

const families = {
  vgg: ['dropout'],
  mobilenet_v2: ['widthMult', 'invertedResidualSetting', 'roundNearest', 'dropout'],
  resnet: ['zeroInitResidual', 'groups', 'widthPerGroup', 'replaceStrideWithDilation'],
} satisfies Record<string, (keyof NetworkOptions)[]>

export const networkOptionNames: readonly (keyof NetworkOptions)[] = [
  ...new Set(Object.values(families).flat()),
]

const checks: { [Name in keyof NetworkOptions]-?: (value: unknown) => NetworkOptions[Name] } = {
  dropout: value => check.number('dropout', value, 0, 1),
  widthMult: value => check.number('widthMult', value, 0.01, 16),
  invertedResidualSetting: value => {
    const rows = Array.isArray(value) ? value : []
    if (rows.length === 0 || !rows.every(row => Array.isArray(row) && row.length === 4)) {
      throw invalid('invertedResidualSetting', 'rows of four integers: t, c, n, s', value)
    }
    return rows.map(row =>
      row.map((number: unknown) => check.integer('invertedResidualSetting', number, 1, 65536)),
    )
  },
  roundNearest: value => check.integer('roundNearest', value, 1, 1024),
  zeroInitResidual: value => check.boolean('zeroInitResidual', value),
  groups: value => check.integer('groups', value, 1, 4096),
  widthPerGroup: value => check.integer('widthPerGroup', value, 1, 4096),
  replaceStrideWithDilation: value => {
    if (Array.isArray(value) && value.length === 3) {
      return value.map(flag => check.boolean('replaceStrideWithDilation', flag))
    }
    throw invalid('replaceStrideWithDilation', 'three booleans: for layer2, layer3 and layer4', value)
  },
}

/** @internal The options of the network's constructor, checked; those of another family are refused. */
export function checkNetworkOptions(architecture: Architecture, options: NetworkOptions): NetworkOptions {
  const family = architecture.startsWith('vgg')
    ? 'vgg'
    : architecture === 'mobilenet_v2'
      ? architecture
      : 'resnet'
  const own: readonly string[] = families[family]
  const checked: Record<string, unknown> = {}
  for (const name of networkOptionNames) {
    const value = options[name]
    if (value === undefined) continue
    if (!own.includes(name)) {
      throw new VisionTorchError(
        'ERR_INVALID_ARGUMENT',
        `${name}: ${architecture} has no such option; it takes ${own.join(', ')}`,
      )
    }
    checked[name] = checks[name](value)
  }
  return checked
}
