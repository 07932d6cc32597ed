import type { Operation } from '../native/operation.js'
import { rotate, shearX, shearY, translate } from './affine.js'
import type { Draw } from './draw.js'
import { roundHalfToEven } from './round.js'
import type { Size } from './size.js'

// AutoAugment (https://arxiv.org/abs/1805.09501), RandAugment (https://arxiv.org/abs/1909.13719),
// TrivialAugmentWide (https://arxiv.org/abs/2103.10158) and AugMix (https://arxiv.org/abs/1912.02781), with the operations
// and magnitudes of torchvision's transforms/autoaugment.py, and bilinear interpolation as in its training references.

export const POLICIES = ['autoaugment', 'randaugment', 'trivialaugment', 'augmix'] as const
export type Policy = (typeof POLICIES)[number]

export type OperationName =
  | 'Identity'
  | 'ShearX'
  | 'ShearY'
  | 'TranslateX'
  | 'TranslateY'
  | 'Rotate'
  | 'Brightness'
  | 'Color'
  | 'Contrast'
  | 'Sharpness'
  | 'Posterize'
  | 'Solarize'
  | 'AutoContrast'
  | 'Equalize'
  | 'Invert'

/** Each operation with its magnitudes, weakest first, and whether they may be negated; null if it has no magnitude. */
type Space = Partial<Record<OperationName, { magnitudes: readonly number[]; signed: boolean } | null>>

const FILTER = 'bilinear'
const BINS = 31
const RANDAUGMENT_OPERATIONS = 2
const RANDAUGMENT_MAGNITUDE = 9
const AUGMIX_SEVERITY = 3
const AUGMIX_BINS = 10
const AUGMIX_CHAINS = 3
const AUGMIX_LONGEST_CHAIN = 3

/** The operations of a policy for an image of this size, with drawn magnitudes. */
export function drawPolicy(policy: Policy, size: Size, draw: Draw): Operation[] {
  const space = policySpaces[policy](size)
  switch (policy) {
    case 'autoaugment':
      return drawAutoAugment(space, size, draw)
    case 'randaugment':
      return Array.from({ length: RANDAUGMENT_OPERATIONS }).flatMap(() =>
        drawOperation(space, () => RANDAUGMENT_MAGNITUDE, size, draw),
      )
    case 'trivialaugment':
      return drawOperation(space, count => draw.index(count), size, draw)
    case 'augmix':
      return [drawAugMix(space, size, draw)]
  }
}

/** Chains of operations whose results are mixed with each other, and with the image. */
function drawAugMix(space: Space, size: Size, draw: Draw): Operation {
  const weight = draw.uniform(0, 1) // the paper's Beta(1, 1)
  return {
    op: 'mix',
    weight,
    chains: drawShares(AUGMIX_CHAINS, draw).map(share => ({
      weight: (1 - weight) * share,
      operations: Array.from({ length: 1 + draw.index(AUGMIX_LONGEST_CHAIN) }).flatMap(() =>
        drawOperation(space, () => draw.index(AUGMIX_SEVERITY), size, draw),
      ),
    })),
  }
}

/** Positive numbers that add up to 1, uniformly distributed: a Dirichlet distribution with all parameters 1. */
export function drawShares(count: number, draw: Draw): number[] {
  const cuts = Array.from({ length: count - 1 }, () => draw.uniform(0, 1)).sort((a, b) => a - b)
  return [...cuts, 1].map((cut, i) => cut - (cuts[i - 1] ?? 0))
}

function drawAutoAugment(space: Space, size: Size, draw: Draw): Operation[] {
  return draw.choice(IMAGENET_POLICIES).flatMap(([name, probability, bin]) => {
    const [applies, negative] = [draw.chance(probability), draw.chance(0.5)]
    return applies ? toOperation(name, magnitudeOf(space[name], bin ?? 0, negative), size) : []
  })
}

function drawOperation(space: Space, bin: (count: number) => number, size: Size, draw: Draw): Operation[] {
  const name = draw.choice(Object.keys(space) as OperationName[])
  const range = space[name]
  return toOperation(
    name,
    magnitudeOf(range, range ? bin(range.magnitudes.length) : 0, draw.chance(0.5)),
    size,
  )
}

function magnitudeOf(range: Space[OperationName], bin: number, negative: boolean): number {
  if (!range) return 0
  return range.signed && negative ? -range.magnitudes[bin]! : range.magnitudes[bin]!
}

function toOperation(name: OperationName, magnitude: number, size: Size): Operation[] {
  switch (name) {
    case 'Identity':
      return []
    case 'ShearX':
      return [shearX(magnitude, FILTER)]
    case 'ShearY':
      return [shearY(magnitude, FILTER)]
    case 'TranslateX':
      return [translate(magnitude, 0, FILTER)]
    case 'TranslateY':
      return [translate(0, magnitude, FILTER)]
    case 'Rotate':
      return [rotate(magnitude, size, FILTER)]
    case 'Brightness':
      return [{ op: 'brightness', amount: 1 + magnitude }]
    case 'Color':
      return [{ op: 'saturation', amount: 1 + magnitude }]
    case 'Contrast':
      return [{ op: 'contrast', amount: 1 + magnitude }]
    case 'Sharpness':
      return [{ op: 'sharpness', amount: 1 + magnitude }]
    case 'Posterize':
      return [{ op: 'posterize', amount: magnitude }]
    case 'Solarize':
      return [{ op: 'solarize', amount: magnitude }]
    case 'AutoContrast':
      return [{ op: 'autocontrast' }]
    case 'Equalize':
      return [{ op: 'equalize' }]
    case 'Invert':
      return [{ op: 'invert' }]
  }
}

/** torch.linspace in float32, which computes from both ends towards the middle and rounds product and sum together. */
function linspace(start: number, end: number, count: number): number[] {
  const f = Math.fround
  const step = f((f(end) - start) / (count - 1))
  const at = (i: number) => (i < count >> 1 ? start + step * i : f(end) - step * (count - 1 - i))
  return Array.from({ length: count }, (_, i) => f(at(i)))
}

/** The number of bits that remain of 8 when up to `most` are removed. */
function bitsLeft(most: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => 8 - roundHalfToEven(i / ((count - 1) / most)))
}

interface Reach {
  shear: number
  /** In pixels. */
  translate: [x: number, y: number]
  /** In degrees. */
  rotate: number
  /** The largest magnitude of brightness, colour, contrast and sharpness. */
  enhance: number
  /** The largest number of bits that posterising removes. */
  bits: number
}

function makeSpace(reach: Reach, bins: number): Space {
  const signed = (end: number) => ({ magnitudes: linspace(0, end, bins), signed: true })
  const unsigned = (magnitudes: number[]) => ({ magnitudes, signed: false })
  return {
    Identity: null,
    ShearX: signed(reach.shear),
    ShearY: signed(reach.shear),
    TranslateX: signed(reach.translate[0]),
    TranslateY: signed(reach.translate[1]),
    Rotate: signed(reach.rotate),
    Brightness: signed(reach.enhance),
    Color: signed(reach.enhance),
    Contrast: signed(reach.enhance),
    Sharpness: signed(reach.enhance),
    Posterize: unsigned(bitsLeft(reach.bits, bins)),
    Solarize: unsigned(linspace(255, 0, bins)),
    AutoContrast: null,
    Equalize: null,
  }
}

const moderate = ({ width, height }: Size): Reach => ({
  shear: 0.3,
  translate: [(150 / 331) * width, (150 / 331) * height],
  rotate: 30,
  enhance: 0.9,
  bits: 4,
})

function augMixSpace({ width, height }: Size): Space {
  const reach = { ...moderate({ width, height }), translate: [width / 3, height / 3] as [number, number] }
  const { Identity: _, ...space } = makeSpace(reach, AUGMIX_BINS)
  // torchvision counts the bits from 4, not from 8 as elsewhere.
  return {
    ...space,
    Posterize: { magnitudes: bitsLeft(4, AUGMIX_BINS).map(bits => bits - 4), signed: false },
  }
}

/** The magnitudes of each policy, by operation. */
export const policySpaces: Record<Policy, (size: Size) => Space> = {
  autoaugment: size => ({ ...makeSpace(moderate(size), 10), Invert: null }),
  randaugment: size => makeSpace(moderate(size), BINS),
  trivialaugment: () => TRIVIAL_SPACE,
  augmix: augMixSpace,
}

const TRIVIAL_SPACE = makeSpace(
  { shear: 0.99, translate: [32, 32], rotate: 135, enhance: 0.99, bits: 6 },
  BINS,
)

type Step = readonly [name: OperationName, probability: number, bin: number | null]

/** The policies that were learned on ImageNet: two steps each. */
export const IMAGENET_POLICIES: readonly (readonly [Step, Step])[] = [
  [
    ['Posterize', 0.4, 8],
    ['Rotate', 0.6, 9],
  ],
  [
    ['Solarize', 0.6, 5],
    ['AutoContrast', 0.6, null],
  ],
  [
    ['Equalize', 0.8, null],
    ['Equalize', 0.6, null],
  ],
  [
    ['Posterize', 0.6, 7],
    ['Posterize', 0.6, 6],
  ],
  [
    ['Equalize', 0.4, null],
    ['Solarize', 0.2, 4],
  ],
  [
    ['Equalize', 0.4, null],
    ['Rotate', 0.8, 8],
  ],
  [
    ['Solarize', 0.6, 3],
    ['Equalize', 0.6, null],
  ],
  [
    ['Posterize', 0.8, 5],
    ['Equalize', 1, null],
  ],
  [
    ['Rotate', 0.2, 3],
    ['Solarize', 0.6, 8],
  ],
  [
    ['Equalize', 0.6, null],
    ['Posterize', 0.4, 6],
  ],
  [
    ['Rotate', 0.8, 8],
    ['Color', 0.4, 0],
  ],
  [
    ['Rotate', 0.4, 9],
    ['Equalize', 0.6, null],
  ],
  [
    ['Equalize', 0, null],
    ['Equalize', 0.8, null],
  ],
  [
    ['Invert', 0.6, null],
    ['Equalize', 1, null],
  ],
  [
    ['Color', 0.6, 4],
    ['Contrast', 1, 8],
  ],
  [
    ['Rotate', 0.8, 8],
    ['Color', 1, 2],
  ],
  [
    ['Color', 0.8, 8],
    ['Solarize', 0.8, 7],
  ],
  [
    ['Sharpness', 0.4, 7],
    ['Invert', 0.6, null],
  ],
  [
    ['ShearX', 0.6, 5],
    ['Equalize', 1, null],
  ],
  [
    ['Color', 0.4, 0],
    ['Equalize', 0.6, null],
  ],
  [
    ['Equalize', 0.4, null],
    ['Solarize', 0.2, 4],
  ],
  [
    ['Solarize', 0.6, 5],
    ['AutoContrast', 0.6, null],
  ],
  [
    ['Invert', 0.6, null],
    ['Equalize', 1, null],
  ],
  [
    ['Color', 0.6, 4],
    ['Contrast', 1, 8],
  ],
  [
    ['Equalize', 0.8, null],
    ['Equalize', 0.6, null],
  ],
]
