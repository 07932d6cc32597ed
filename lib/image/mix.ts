import type { ImageBatch } from '../native/native.js'
import type { Rect } from '../native/operation.js'
import type { Augmentation } from './augmentation.js'
import { Draw } from './draw.js'
import type { Size } from './size.js'

// mixup (https://arxiv.org/abs/1710.09412) and CutMix (https://arxiv.org/abs/1905.04899), as torchvision's
// transforms/v2/_augment.py does them: each image is mixed with the one before it in the batch, the first with the last.

/** The way in which a batch is mixed. */
export interface Mix {
  /** The weight of each image's own label in the loss, 0 to 1; its neighbour's label gets the rest. */
  weight: number
  /** With CutMix, the part that comes from the neighbour. With mixup, null: all pixels are blended by `weight`. */
  box: Rect | null
}

/**
 * Draws how to mix this step's batch, or returns null if neither is on. If both mixup and CutMix are on, it chooses
 * one of them.
 */
export function drawMix(
  { mixup, cutmix }: Augmentation,
  { seed, epoch, step }: { seed: number; epoch: number; step: number },
  size: Size,
): Mix | null {
  if (mixup === 0 && cutmix === 0) return null
  // -1 takes the place of a sample's index, so that a batch never shares its random numbers with an image.
  const draw = new Draw(seed, epoch, step, -1)
  const cut = cutmix > 0 && (mixup === 0 || draw.chance(0.5))
  const weight = drawBeta(cut ? cutmix : mixup, draw)
  return cut ? cutOut(weight, size, draw) : { weight, box: null }
}

/** Mixes the first `labels.length` images of the batch in place. Returns StepOptions.mixed for the loss. */
export async function mixBatch(
  batch: ImageBatch,
  labels: Int32Array,
  mix: Mix,
): Promise<{ labels: Int32Array; weight: number }> {
  await batch.mix(labels.length, mix.weight, mix.box)
  const neighbours = labels.map((_, i) => labels[(i || labels.length) - 1]!)
  return { labels: neighbours, weight: mix.weight }
}

/** A box around a random point with 1 - weight of the area, cut off at the border, and the weight that results. */
function cutOut(weight: number, { width, height }: Size, draw: Draw): Mix {
  const [x, y] = [draw.index(width), draw.index(height)]
  const half = 0.5 * Math.sqrt(1 - weight)
  const [dx, dy] = [Math.trunc(half * width), Math.trunc(half * height)]
  const [left, top] = [Math.max(0, x - dx), Math.max(0, y - dy)]
  const [right, bottom] = [Math.min(width, x + dx), Math.min(height, y + dy)]
  const box: Rect = [left, top, right - left, bottom - top]
  return { weight: 1 - (box[2] * box[3]) / (width * height), box }
}

/** Beta(alpha, alpha), by L. Devroye, "Random variate generation in one line of code" (1996). */
export function drawBeta(alpha: number, draw: Draw): number {
  const [u, v] = [draw.uniform(0, 1), draw.uniform(0, 1)]
  const spread = (u ** (-1 / alpha) - 1) * Math.cos(2 * Math.PI * v) ** 2
  const offset = 1 / (2 * Math.sqrt(1 + 1 / spread))
  return draw.chance(0.5) ? 0.5 + offset : 0.5 - offset
}
