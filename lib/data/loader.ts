import pLimit from 'p-limit'
import type { ImageBatch, NativeTransform, Pixels } from '../native/native.js'
import type { Decode } from './cache.js'
import type { Sample } from './dataset.js'

/** Images and labels on their way into the network. */
export interface LoadedBatch {
  images: ImageBatch
  labels: Int32Array
  /** The indices of its samples. Indices beyond the number of samples refer to further copies. */
  indices: Uint32Array
  /** The second labels and the weight of the first ones, if {@link MixOf} has mixed the batch. */
  mixed: { labels: Int32Array; weight: number } | null
}

/** Mixes the images of a batch with each other. The batch is number `position` of the plan. */
export type MixOf = (
  images: ImageBatch,
  labels: Int32Array,
  position: number,
) => Promise<LoadedBatch['mixed']>

/** Returns the transform of sample `index`, whose decoded image has this size. */
export type TransformOf = (index: number, size: Pick<Pixels, 'width' | 'height'>) => NativeTransform

export interface LoaderOptions {
  samples: readonly Sample[]
  createBatch: () => ImageBatch
  decode: Decode
  /** How many images are decoded and transformed at the same time. */
  workers: number
}

/** One batch is in the network while two are being filled, which is enough to even out large and small images. */
const depth = 3

/**
 * Fills batches off the JavaScript thread while the network computes. Batches come in the order of the plan, whichever
 * image is ready first. Memory is bounded by `depth` batches, which are reused, and `workers` decoded images.
 */
export class Loader {
  readonly #options: LoaderOptions
  readonly #spare: ImageBatch[] = []

  constructor(options: LoaderOptions) {
    this.#options = options
  }

  /**
   * Yields the batches of a plan. A batch may be used until the next one is requested.
   * @throws What decoding throws, naming the file.
   */
  async *batches(
    plan: readonly Uint32Array[],
    transformOf: TransformOf,
    mixOf?: MixOf,
  ): AsyncGenerator<LoadedBatch, void> {
    const { createBatch, samples, workers } = this.#options
    const turn = pLimit(workers)
    let stopped = false
    const fill = async (indices: Uint32Array, position: number): Promise<LoadedBatch> => {
      const images = this.#spare.pop() ?? createBatch()
      const loads = Array.from(indices, (index, slot) =>
        turn(async () => {
          if (!stopped) await this.#load(images, index, slot, transformOf)
        }),
      )
      // Wait for all, not only for the first failure: nothing may still write into a batch that is about to be reused.
      for (const load of await Promise.allSettled(loads)) if (load.status === 'rejected') throw load.reason
      const labels = Int32Array.from(indices, index => samples[index % samples.length]!.label)
      const mixed = (await mixOf?.(images, labels, position)) ?? null
      return { images, labels, indices, mixed }
    }
    const filling: Promise<LoadedBatch>[] = []
    let next = 0
    const fillNext = () => {
      const indices = plan[next]
      if (indices === undefined) return
      const batch = fill(indices, next++)
      batch.catch(() => {}) // rethrown below when its turn comes
      filling.push(batch)
    }
    try {
      while (next < Math.min(depth, plan.length)) fillNext()
      for (let first = filling.shift(); first !== undefined; first = filling.shift()) {
        const batch = await first
        yield batch
        this.#spare.push(batch.images)
        fillNext()
      }
    } finally {
      stopped = true
      for (const rest of await Promise.allSettled(filling)) {
        if (rest.status === 'fulfilled') this.#spare.push(rest.value.images)
      }
    }
  }

  async #load(images: ImageBatch, index: number, slot: number, transformOf: TransformOf): Promise<void> {
    const { decode, samples } = this.#options
    const pixels = await decode(samples[index % samples.length]!)
    await images.set(slot, pixels, transformOf(index, pixels))
  }
}

/** The plan of an evaluation: all of `count` samples in their order, `batchSize` at a time. */
export function inOrder(count: number, batchSize: number): Uint32Array[] {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  return Array.from({ length: Math.ceil(count / batchSize) }, (_, i) =>
    order.subarray(i * batchSize, (i + 1) * batchSize),
  )
}
