import { busy } from './errors.js'

/** The limit of bytes in bodies that are held at the same time, unless a single body may be larger. */
const HELD_BYTES = 256 << 20

/** Limits the images and the bytes that requests hold at the same time. */
export class Admission {
  #images = 0
  #bytes = 0
  readonly #maxBytes: number

  constructor(
    private readonly maxImages: number,
    maxBodyBytes: number,
  ) {
    this.#maxBytes = Math.max(HELD_BYTES, maxBodyBytes)
  }

  /** The number of images that wait or are being computed. */
  get images(): number {
    return this.#images
  }

  /** Admits a request with one image. The ticket can ask for more, and gives everything back when it is disposed. */
  admit(): Ticket {
    const held = { images: 0, bytes: 0 }
    const ticket: Ticket = {
      addImages: count => {
        if (this.#images + count > this.maxImages)
          throw busy(
            `the server has ${this.#images} images to compute, and accepts at most ${this.maxImages}. Try again later`,
          )
        this.#images += count
        held.images += count
      },
      addBytes: count => {
        if (this.#bytes + count > this.#maxBytes)
          throw busy('the server already holds as many bytes of requests as it accepts. Try again later')
        this.#bytes += count
        held.bytes += count
      },
      [Symbol.dispose]: () => {
        this.#images -= held.images
        this.#bytes -= held.bytes
        held.images = held.bytes = 0
      },
    }
    ticket.addImages(1)
    return ticket
  }
}

export interface Ticket extends Disposable {
  /** @throws HttpError 429 if the server would hold more images than it accepts. */
  addImages(count: number): void
  /** @throws HttpError 429 if the server would hold more bytes than it accepts. */
  addBytes(count: number): void
}
