import type { NetworkOptions } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { check, invalid } from '../util/is.js'
import { type Architecture, familyOf } from './architectures.js'

const checks: { [Name in keyof NetworkOptions]-?: (value: unknown) => NetworkOptions[Name] } = {
  dropout: value => check.number('dropout', value, 0, 1),
  widthMult: value => check.number('widthMult', value, 0.01, 16),
  invertedResidualSetting: value => {
    const rows = Array.isArray(value) ? value : []
    if (rows.length === 0 || !rows.every(row => Array.isArray(row) && row.length === 4)) {
      throw invalid('invertedResidualSetting', 'rows of four integers: t, c, n, s', value)
    }
    const most = [1024, 65536, 65536, 1024] // of t, c, n, s
    return rows.map(row =>
      row.map((number: unknown, i: number) => check.integer('invertedResidualSetting', number, 1, most[i]!)),
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
  reducedTail: value => check.boolean('reducedTail', value),
  dilated: value => check.boolean('dilated', value),
  stochasticDepthProb: value => check.number('stochasticDepthProb', value, 0, 1),
  stemWidth: value => check.integer('stemWidth', value, 1, 65536),
  bnSize: value => check.integer('bnSize', value, 1, 64),
  dropRate: value => check.number('dropRate', value, 0, 1),
  auxLogits: value => check.boolean('auxLogits', value),
  transformInput: value => check.boolean('transformInput', value),
  dropoutAux: value => check.number('dropoutAux', value, 0, 1),
  layerScale: value => check.number('layerScale', value, 0, 1e3),
  batchNormEps: value => check.number('batchNormEps', value, 0, 1),
  imageSize: value => check.integer('imageSize', value, 32, 4096),
  patchSize: value => check.integer('patchSize', value, 1, 4096),
  numLayers: value => check.integer('numLayers', value, 1, MOST_BLOCKS),
  numHeads: value => check.integer('numHeads', value, 1, 4096),
  hiddenDim: value => check.integer('hiddenDim', value, 1, 65536),
  mlpDim: value => check.integer('mlpDim', value, 1, 65536),
  attentionDropout: value => check.number('attentionDropout', value, 0, 1),
  representationSize: value => check.integer('representationSize', value, 1, 65536),
  mlpRatio: value => check.number('mlpRatio', value, 0.1, 64),
  mlpDropout: value => check.number('mlpDropout', value, 0, 1),
  squeezeRatio: value => check.number('squeezeRatio', value, 0.01, 16),
  expansionRatio: value => check.number('expansionRatio', value, 0.1, 64),
}

/** @internal The options of all networks' constructors. */
export const networkOptionNames = Object.keys(checks) as (keyof NetworkOptions)[]

/** More blocks than any real network has, but few enough to describe quickly. */
const MOST_BLOCKS = 4096

/**
 * @internal Checks the options of the network's constructor; options of another family are refused.
 * @param mostBlocks For options from a file: the number of its tensors.
 */
export function checkNetworkOptions(
  architecture: Architecture,
  options: NetworkOptions,
  mostBlocks = MOST_BLOCKS,
): NetworkOptions {
  const { options: own } = familyOf(architecture)
  const checked: Record<string, unknown> = {}
  for (const name of networkOptionNames) {
    const value = options[name]
    if (value === undefined) continue
    if (!own.includes(name)) {
      throw new VisionTorchError(
        'ERR_INVALID_ARGUMENT',
        `${name}: ${architecture} has no such option; it takes ${own.length > 0 ? own.join(', ') : 'none'}`,
      )
    }
    checked[name] = checks[name](value)
  }
  const setting = checked.invertedResidualSetting as number[][] | undefined
  const blocks = {
    'invertedResidualSetting: expected at most N blocks (the sum of n)':
      setting?.reduce((sum, [, , n]) => sum + n!, 0) ?? 0,
    'numLayers: expected at most N': (checked.numLayers as number | undefined) ?? 0,
  }
  const most = Math.min(mostBlocks, MOST_BLOCKS)
  for (const [message, count] of Object.entries(blocks)) {
    if (count > most) {
      throw new VisionTorchError(
        'ERR_INVALID_ARGUMENT',
        `${message.replace('N', String(most))}, got ${count}`,
      )
    }
  }
  return checked
}
