import { close, open, read, write } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { promisify } from 'node:util'
import { VisionTorchError } from '../util/errors.js'
import { toPath } from '../util/file-name.js'
import { cannotWrite, removeLeftovers, temporaryPath } from '../util/files.js'
import { imageCacheDirectory } from './cache.js'

const [openFile, readAt, writeAt] = [promisify(open), promisify(read), promisify(write)]

const closing = new FinalizationRegistry<number>(descriptor => close(descriptor))

/**
 * Keeps the bytes of images that have no separate file: in memory as long as there is plenty, the rest in a file of the
 * disk cache. That file has no name, and disappears when the process ends or the store is no longer used.
 */
export class ImageStore {
  #room: number
  readonly #directory: string
  #descriptor: Promise<number> | undefined
  #end = 0

  /** @param room How many bytes may stay in memory. Default: a quarter of what is free. */
  constructor(room = process.availableMemory() / 4, directory = imageCacheDirectory()) {
    this.#room = room
    this.#directory = directory
  }

  /**
   * Keeps a copy of the bytes, and returns a function that reads them. Await it before the next call.
   * @throws ERR_FILE_WRITE if the disk is full.
   */
  async add(bytes: Uint8Array): Promise<() => Promise<Uint8Array>> {
    if (bytes.length <= this.#room) {
      this.#room -= bytes.length
      const copy = Buffer.from(bytes)
      return async () => copy
    }
    this.#descriptor ??= this.#open()
    const start = this.#end
    try {
      const descriptor = await this.#descriptor
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await writeAt(descriptor, bytes, done, bytes.length - done, start + done)
        done += bytesWritten
      }
    } catch (error) {
      throw cannotWrite(this.#directory, error)
    }
    this.#end += bytes.length
    return () => this.#read(start, bytes.length)
  }

  /** Removes the file's name as soon as it is open, so that nothing is left behind if the process is killed. */
  async #open(): Promise<number> {
    await mkdir(this.#directory, { recursive: true })
    await removeLeftovers(this.#directory)
    const path = temporaryPath(this.#directory)
    const descriptor = await openFile(toPath(path), 'wx+')
    closing.register(this, descriptor)
    await rm(toPath(path), { force: true })
    return descriptor
  }

  async #read(start: number, length: number): Promise<Uint8Array> {
    const descriptor = await this.#descriptor!
    const bytes = Buffer.allocUnsafe(length)
    for (let done = 0; done < length; ) {
      const { bytesRead } = await readAt(descriptor, bytes, done, length - done, start + done)
      if (bytesRead === 0) {
        throw new VisionTorchError(
          'ERR_FILE_READ',
          `${this.#directory}: the temporary file with images has become shorter. Start again`,
        )
      }
      done += bytesRead
    }
    return bytes
  }
}
