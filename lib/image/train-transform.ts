import type { NativeTransform } from '../native/native.js'
import type { Color, Operation, Rect } from '../native/operation.js'
import { rotate } from './affine.js'
import type { Augmentation, ColorJitter } from './augmentation.js'
import { Draw } from './draw.js'
import { drawPolicy } from './policy.js'
import type { Preprocessing } from './preprocessing.js'
import { roundHalfToEven } from './round.js'
import { type Size, toSize } from './size.js'
import { evalTransform } from './transform.js'

/** The image, the epoch and the run's seed. Random parameters depend on nothing else. */
export interface Sample {
  seed: number
  epoch: number
  /** The index of the image in the data set, not in the batch. */
  index: number
}

/** The transform of one training image of this size in one epoch. */
export function trainTransform(
  augmentation: Augmentation,
  preprocessing: Preprocessing,
  sample: Sample,
  size: Size,
): NativeTransform {
  const draw = new Draw(sample.seed, sample.epoch, sample.index)
  const { scale, ratio, rotation, policy } = augmentation
  const { interpolation: filter } = preprocessing
  const input = toSize(preprocessing.crop)
  const operations: Operation[] = []
  if (scale === null) {
    operations.push(...evalTransform(preprocessing, size))
  } else {
    const target = [input.width, input.height] as const
    const from = drawPart(size, scale, ratio, draw) ?? centeredPart(size, ratio)
    operations.push({ op: 'resize', from, size: target, crop: [0, 0, ...target], filter })
  }
  if (draw.chance(augmentation.horizontalFlip)) operations.push({ op: 'horizontalFlip' })
  if (draw.chance(augmentation.verticalFlip)) operations.push({ op: 'verticalFlip' })
  if (rotation > 0) operations.push(rotate(draw.uniform(-rotation, rotation), input, 'bilinear'))
  if (augmentation.colorJitter) operations.push(...drawJitter(augmentation.colorJitter, draw))
  if (policy) operations.push(...drawPolicy(policy, input, draw))
  if (draw.chance(augmentation.randomErasing)) {
    const box = drawPart(input, ERASED_SCALE, ERASED_RATIO, draw)
    if (box) operations.push({ op: 'erase', box, fill: meanColor(preprocessing) })
  }
  return operations
}

// RandomErasing's defaults.
const ERASED_SCALE = [0.02, 0.33] as const
const ERASED_RATIO = [0.3, 3.3] as const

type Range = readonly [min: number, max: number]

/** Draws the parameters of RandomResizedCrop and RandomErasing, with ten attempts to find a part that fits. */
function drawPart({ width, height }: Size, scale: Range, ratio: Range, draw: Draw): Rect | undefined {
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * draw.uniform(...scale)
    const aspect = Math.exp(draw.uniform(Math.log(ratio[0]), Math.log(ratio[1])))
    const w = roundHalfToEven(Math.sqrt(area * aspect))
    const h = roundHalfToEven(Math.sqrt(area / aspect))
    if (w < 1 || h < 1 || w > width || h > height) continue
    return [draw.index(width - w + 1), draw.index(height - h + 1), w, h]
  }
  return undefined
}

/** The fallback of RandomResizedCrop: the largest centred part whose aspect ratio is in range. */
function centeredPart({ width, height }: Size, ratio: Range): Rect {
  const aspect = width / height
  const w = aspect > ratio[1] ? Math.max(1, roundHalfToEven(height * ratio[1])) : width
  const h = aspect < ratio[0] ? Math.max(1, roundHalfToEven(width / ratio[0])) : height
  return [(width - w) >> 1, (height - h) >> 1, w, h]
}

/** ColorJitter: the chosen adjustments in random order. */
function drawJitter(jitter: ColorJitter, draw: Draw): Operation[] {
  const operations: Operation[] = []
  for (const op of ['brightness', 'contrast', 'saturation'] as const) {
    if (jitter[op] === 0) continue
    operations.push({ op, amount: draw.uniform(Math.max(0, 1 - jitter[op]), 1 + jitter[op]) })
  }
  if (jitter.hue > 0) operations.push({ op: 'hue', amount: draw.uniform(-jitter.hue, jitter.hue) })
  return draw.shuffle(operations)
}

/** The colour that is zero after normalisation. */
function meanColor({ mean }: Preprocessing): Color {
  return mean.map(value => Math.min(255, Math.max(0, Math.round(value * 255)))) as [number, number, number]
}
