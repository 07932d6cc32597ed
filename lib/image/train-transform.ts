import type { NativeTransform } from '../native.js'
import type { Augmentation } from './augmentation.js'
import { Draw } from './draw.js'
import type { Operation, Rect } from './operation.js'
import type { Preprocessing } from './preprocessing.js'
import { evalTransform, type Size } from './transform.js'

/** Which image, in which epoch, of which run: all that random parameters depend on. */
export interface Sample {
  seed: number
  epoch: number
  /** Of the image in the data set, not in the batch. */
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
  const { crop, interpolation: filter } = preprocessing
  const operations: Operation[] = []
  if (augmentation.scale === null) {
    operations.push(...evalTransform(preprocessing, size))
  } else {
    const from = randomCrop(augmentation.scale, augmentation.ratio, size, draw)
    operations.push({ op: 'resize', from, size: [crop, crop], crop: [0, 0, crop, crop], filter })
  }
  if (draw.chance(augmentation.horizontalFlip)) operations.push({ op: 'horizontalFlip' })
  if (draw.chance(augmentation.verticalFlip)) operations.push({ op: 'verticalFlip' })
  return operations
}

/** torchvision's RandomResizedCrop.get_params: ten attempts, then the largest centred part with a ratio in range. */
function randomCrop(
  scale: readonly [number, number],
  ratio: readonly [number, number],
  { width, height }: Size,
  draw: Draw,
): Rect {
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = width * height * draw.uniform(...scale)
    const aspect = Math.exp(draw.uniform(Math.log(ratio[0]), Math.log(ratio[1])))
    const w = Math.round(Math.sqrt(area * aspect))
    const h = Math.round(Math.sqrt(area / aspect))
    if (w < 1 || h < 1 || w > width || h > height) continue
    return [draw.index(width - w + 1), draw.index(height - h + 1), w, h]
  }
  const aspect = width / height
  const w = aspect > ratio[1] ? Math.max(1, Math.round(height * ratio[1])) : width
  const h = aspect < ratio[0] ? Math.max(1, Math.round(width / ratio[0])) : height
  return [(width - w) >> 1, (height - h) >> 1, w, h]
}
