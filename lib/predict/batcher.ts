import pLimit from 'p-limit'
import type { ImageBatch, NativeTransform, Pixels } from '../native/native.js'

export interface DecodedImage {
  pixels: Pixels
  transform: NativeTransform
  /** Frees the pixels once they are transformed. */
  release(): void
}

interface Row {
  resolve(values: Float32Array): void
  reject(error: unknown): void
  /** Whether its image could not be read. */
  failed: boolean
}

interface Batch {
  images: ImageBatch
  rows: Row[]
  /** The number of images that are still being decoded or transformed. */
  awaited: number
}

/**
 * Merges the images of all callers into batches. Images that arrive while the network computes go into the next
 * batch, up to `size` images; an image that finds the network idle is computed at once, alone. At most two batches
 * of images are processed at a time; the others wait before they are decoded, which bounds the memory.
 */
export class Batcher {
  #filling: Batch | undefined
  #full: Batch[] = []
  #spare: ImageBatch[] = []
  #computing = false
  readonly #turn: ReturnType<typeof pLimit>

  constructor(
    private readonly size: number,
    private readonly createBatch: () => ImageBatch,
    private readonly compute: (batch: ImageBatch, count: number) => Promise<Float32Array>,
  ) {
    this.#turn = pLimit(2 * size)
  }

  /**
   * Decodes an image and computes its row of outputs. With `patient`, the image is one of many in the same call. It gets
   * its place in a batch before it is decoded, and the batch waits for it. So the batches of such a call, and the
   * rounding of its results, do not depend on how long each image takes.
   */
  run(decode: () => Promise<DecodedImage>, patient: boolean): Promise<Float32Array> {
    return this.#turn(async () => {
      if (patient) return this.#add(decode)
      const image = await decode()
      return this.#add(async () => image)
    })
  }

  #add(decode: () => Promise<DecodedImage>): Promise<Float32Array> {
    this.#filling ??= { images: this.#spare.pop() ?? this.createBatch(), rows: [], awaited: 0 }
    const batch = this.#filling
    return new Promise((resolve, reject) => {
      const row: Row = { resolve, reject, failed: false }
      const index = batch.rows.push(row) - 1
      if (batch.rows.length === this.size) {
        this.#full.push(batch)
        this.#filling = undefined
      }
      batch.awaited++
      const transformed = async () => {
        const { pixels, transform, release } = await decode()
        try {
          await batch.images.set(index, pixels, transform)
        } finally {
          release()
        }
      }
      transformed()
        .catch(error => {
          row.failed = true
          reject(error)
        })
        .finally(() => {
          batch.awaited--
          this.#next()
        })
    })
  }

  /** Computes the next batch, if the network is idle and a batch is ready. */
  #next(): void {
    if (this.#computing) return
    let batch = this.#full.find(({ awaited }) => awaited === 0)
    if (batch !== undefined) {
      this.#full.splice(this.#full.indexOf(batch), 1)
    } else if (this.#filling?.awaited === 0) {
      batch = this.#filling
      this.#filling = undefined
    }
    if (batch !== undefined) void this.#compute(batch)
  }

  async #compute({ images, rows }: Batch): Promise<void> {
    this.#computing = true
    try {
      // The network also computes the failed rows before the last good one, but nobody reads them.
      const count = rows.findLastIndex(({ failed }) => !failed) + 1
      if (count > 0) {
        const values = await this.compute(images, count)
        const width = values.length / count
        for (const [index, row] of rows.slice(0, count).entries())
          row.resolve(values.subarray(index * width, (index + 1) * width))
      }
    } catch (error) {
      for (const row of rows) row.reject(error)
    }
    this.#spare.push(images)
    this.#computing = false
    this.#next()
  }
}
