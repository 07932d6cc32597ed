import { deriveSeed, permutation } from '../random.js'

/** One optimiser update: the images of its micro-batches, as indices into the training set. */
export type Update = Uint32Array[]

/**
 * The updates of an epoch (counted from 0): a new order each epoch, cut into batches, `accumulation` batches an update.
 * Every image is seen once; the last batch may be smaller.
 */
export function epochUpdates(
  count: number,
  batchSize: number,
  accumulation: number,
  seed: number,
  epoch: number,
): Update[] {
  const order = permutation(count, deriveSeed(seed, epoch))
  const updates: Update[] = []
  for (let start = 0; start < count; ) {
    const update: Update = []
    for (; update.length < accumulation && start < count; start += batchSize) {
      update.push(order.subarray(start, start + batchSize))
    }
    updates.push(update)
  }
  return updates
}
