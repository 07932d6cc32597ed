import { busy } from './errors.js'

/** Bytes of bodies that are held at a time, unless a single body may be larger. */
const HELD_BYTES = 256 << 20

/** Bounds the images and the bytes that requests hold at a time. */
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

  /** Images that wait or are computed. */
  get images(): number {
    return this.#images
  }

  /** The right of a request to hold one image, and what it asks for beyond that. Disposing it gives everything back. */
  admit(): Ticket {
    const held = { images: 0, bytes: 0 }
    const ticket: Ticket = {
      addImages: count => {
        if (this.#images + count > this.maxImages)
          throw busy(
            `the server has ${this.#images} images to compute, and accepts ${this.maxImages}. Try again later`,
          )
        this.#images += count
        held.images += count
      },
      addBytes: count => {
        if (this.#bytes + count > this.#maxBytes)
          throw busy('the server holds as many bytes of other requests as it accepts. Try again later')
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
