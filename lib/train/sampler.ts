import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import { deriveSeed, permutation } from '../util/random.js'

/**
 * One optimizer update: the images of its micro-batches, as indices into the training set. An image that an epoch sees several
 * times has a different index each time, which also selects its augmentation: i, i + count, i + 2 count and so on.
 */
export type Update = Uint32Array[]

export interface SamplerOptions {
  /** How many copies of an image follow each other, as with the RASampler of torchvision's references. Default 1. */
  repetitions?: number
  /** The class of each image, to show each class equally often. Default null: each image once. */
  balancedBy?: readonly number[] | null
  /** How many batches, which follow each other in an update, batch norms normalise together. Default 1. */
  together?: number
}

/**
 * The updates of an epoch (counted from 0). Each epoch has a new order, cut into batches, with `accumulation` batches in an
 * update. The last batch may be smaller, but a single remaining image joins the batch before it, because batch norm cannot
 * normalise by one image; with batches of one, only if it would be normalised alone where others are not. An epoch sees `count`
 * images, including copies.
 */
export function epochUpdates(
  count: number,
  batchSize: number,
  accumulation: number,
  seed: number,
  epoch: number,
  { repetitions = 1, balancedBy = null, together = 1 }: SamplerOptions = {},
): Update[] {
  const epochSeed = deriveSeed(seed, epoch)
  const order =
    balancedBy === null ? repeated(count, repetitions, epochSeed) : balanced(balancedBy, epochSeed)
  const updates: Update[] = []
  for (let start = 0; start < count; ) {
    const update: Update = []
    while (update.length < accumulation && start < count) {
      const joins = batchSize > 1 || (together > 1 && ((update.length + 1) % accumulation) % together === 0)
      const size = joins && count - start === batchSize + 1 ? batchSize + 1 : batchSize
      update.push(order.subarray(start, start + size))
      start += size
    }
    updates.push(update)
  }
  return updates
}

/** The largest size of a batch that {@link epochUpdates} may return: one more than `batchSize` if one image remains. */
export const largestBatch = (count: number, batchSize: number, together = 1): number => {
  const mayRemain = batchSize > 1 ? count % batchSize === 1 : together > 1
  return mayRemain && count > batchSize ? batchSize + 1 : batchSize
}

function repeated(count: number, repetitions: number, seed: number): Uint32Array {
  const images = permutation(count, seed)
  return images.map((_, i) => images[Math.floor(i / repetitions)]! + count * (i % repetitions))
}

/**
 * Draws as many images as there are, in random order: equally often from each class (once more from some classes if the
 * number does not divide evenly), and within a class any image each time, with replacement.
 */
function balanced(labels: readonly number[], seed: number): Uint32Array {
  const count = labels.length
  const classes = new Map<number, number[]>()
  for (const [index, label] of labels.entries()) {
    const ofClass = classes.get(label)
    if (ofClass === undefined) classes.set(label, [index])
    else ofClass.push(index)
  }
  const images = [...classes.values()]
  const turns = permutation(images.length, deriveSeed(seed, 0)) // the classes with one more draw differ from epoch to epoch
  const places = permutation(count, deriveSeed(seed, 1))
  const random = xoroshiro128plus(deriveSeed(seed, 2))
  const seen = new Uint32Array(count)
  const order = new Uint32Array(count)
  for (let draw = 0; draw < count; draw++) {
    const ofClass = images[turns[draw % images.length]!]!
    const image = ofClass[uniformInt(random, 0, ofClass.length - 1)]!
    order[places[draw]!] = image + count * seen[image]!++
  }
  return order
}
