import { deriveSeed, permutation } from '../util/random.js'

/** One optimiser update: the images of its micro-batches, as indices into the training set. */
export type Update = Uint32Array[]

/**
 * The updates of an epoch (counted from 0): a new order each epoch, cut into batches, `accumulation` batches an update.
 * Every image is seen once. The last batch may be smaller; a single image that is left joins the batch before it, since
 * batch norm cannot normalise by one image.
 *
 * With `repetitions`, that many copies of an image follow each other, and the epoch ends after `count` of all, as with the
 * RASampler of torchvision's references. The copies of image i are i, i + count, i + 2 count and so on.
 */
export function epochUpdates(
  count: number,
  batchSize: number,
  accumulation: number,
  seed: number,
  epoch: number,
  repetitions = 1,
): Update[] {
  const images = permutation(count, deriveSeed(seed, epoch))
  const order = images.map((_, i) => images[Math.floor(i / repetitions)]! + count * (i % repetitions))
  const updates: Update[] = []
  for (let start = 0; start < count; ) {
    const update: Update = []
    while (update.length < accumulation && start < count) {
      const left = count - start
      const size = left === batchSize + 1 ? largestBatch(count, batchSize) : batchSize
      update.push(order.subarray(start, start + size))
      start += size
    }
    updates.push(update)
  }
  return updates
}

/** The images of the largest batch that {@link epochUpdates} gives: one more than `batchSize` if one image is left. */
export const largestBatch = (count: number, batchSize: number): number =>
  batchSize > 1 && count > batchSize && count % batchSize === 1 ? batchSize + 1 : batchSize
