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
}

interface Batch {
  images: ImageBatch
  rows: Row[]
  /** Images that are still being transformed. */
  transforming: number
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
  #expected = 0
  readonly #turn: ReturnType<typeof pLimit>

  constructor(
    private readonly size: number,
    private readonly createBatch: () => ImageBatch,
    private readonly compute: (batch: ImageBatch, count: number) => Promise<Float32Array>,
  ) {
    this.#turn = pLimit(2 * size)
  }

  /**
   * Decodes an image and computes its row of outputs. With `patient`, the image is one of many in the same call: a
   * batch that is not full waits for it while it is being decoded.
   */
  run(decode: () => Promise<DecodedImage>, patient: boolean): Promise<Float32Array> {
    return this.#turn(async () => {
      if (patient) this.#expected++
      let image: DecodedImage
      try {
        image = await decode()
      } catch (error) {
        if (patient) this.#expected--
        this.#next()
        throw error
      }
      if (patient) this.#expected--
      return this.#add(image)
    })
  }

  #add({ pixels, transform, release }: DecodedImage): Promise<Float32Array> {
    this.#filling ??= { images: this.#spare.pop() ?? this.createBatch(), rows: [], transforming: 0 }
    const batch = this.#filling
    return new Promise((resolve, reject) => {
      const index = batch.rows.push({ resolve, reject }) - 1
      if (batch.rows.length === this.size) {
        this.#full.push(batch)
        this.#filling = undefined
      }
      batch.transforming++
      const transformed = async () => batch.images.set(index, pixels, transform)
      transformed()
        .catch(reject) // The network still computes its row, but nobody reads it.
        .finally(() => {
          release()
          batch.transforming--
          this.#next()
        })
    })
  }

  /** Computes the next batch, if the network is idle and a batch is ready. */
  #next(): void {
    if (this.#computing) return
    let batch = this.#full.find(({ transforming }) => transforming === 0)
    if (batch !== undefined) {
      this.#full.splice(this.#full.indexOf(batch), 1)
    } else if (this.#filling?.transforming === 0 && this.#expected === 0) {
      batch = this.#filling
      this.#filling = undefined
    }
    if (batch !== undefined) void this.#compute(batch)
  }

  async #compute({ images, rows }: Batch): Promise<void> {
    this.#computing = true
    try {
      const values = await this.compute(images, rows.length)
      const width = values.length / rows.length
      for (const [index, row] of rows.entries())
        row.resolve(values.subarray(index * width, (index + 1) * width))
    } catch (error) {
      for (const row of rows) row.reject(error)
    }
    this.#spare.push(images)
    this.#computing = false
    this.#next()
  }
}
