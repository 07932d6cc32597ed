import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Sharp } from 'sharp'
import type { Pixels } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { invalid, is } from '../util/is.js'

/** Decoded pixels from another source: rows with 1 (gray), 3 (RGB) or 4 (RGBA) bytes per pixel, without gaps. */
export interface RawImage {
  data: Uint8Array | Uint8ClampedArray
  width: number
  height: number
  channels: number
}

/**
 * An image: a path, a `file:` URL, the bytes of an image file (`Buffer`, `Uint8Array`, `ArrayBuffer`, `Blob`, a Node or
 * web stream), a sharp instance, or pixels.
 */
export type ImageInput =
  | string
  | URL
  | Uint8Array
  | ArrayBuffer
  | Blob
  | NodeJS.ReadableStream
  | ReadableStream<Uint8Array>
  | Sharp
  | RawImage

/** The kind of an input: a file to open, encoded bytes, a sharp pipeline, or pixels. */
export type Source =
  | { kind: 'path'; name: string; path: string }
  | { kind: 'bytes'; name: string; bytes: Uint8Array }
  | { kind: 'sharp'; name: string; sharp: Sharp }
  | { kind: 'pixels'; name: string; pixels: Pixels }

/** Determines the kind of an input, and reads blobs and streams to their end. */
export async function openInput(input: ImageInput, signal?: AbortSignal): Promise<Source> {
  if (typeof input === 'string' && input.length > 0) return fromPath(input)
  if (input instanceof URL) return fromPath(input.href)
  if (input instanceof Uint8Array) return { kind: 'bytes', name: 'the image', bytes: input }
  if (input instanceof ArrayBuffer) return { kind: 'bytes', name: 'the image', bytes: new Uint8Array(input) }
  if (input instanceof Blob) {
    const name = 'name' in input && is.string(input.name) ? input.name : 'the image'
    return { kind: 'bytes', name, bytes: new Uint8Array(await input.arrayBuffer()) }
  }
  if (is.object(input)) {
    // Check this before streams, because a sharp instance is one too. Check its methods, because it may come from another copy of sharp.
    if (typeof input.clone === 'function' && typeof input.toBuffer === 'function') {
      return { kind: 'sharp', name: 'the sharp image', sharp: input as unknown as Sharp }
    }
    if (Symbol.asyncIterator in input) {
      const name = is.string(input.path) ? basename(input.path) : 'the image'
      return { kind: 'bytes', name, bytes: await collect(input as unknown as AsyncIterable<unknown>, signal) }
    }
    if ('data' in input) return { kind: 'pixels', name: 'the image', pixels: checkPixels(input) }
  }
  throw invalid(
    'input',
    'a path, a file: URL, a Buffer, Uint8Array, ArrayBuffer, Blob, readable stream, sharp instance or { data, width, height, channels }',
    input,
  )
}

function fromPath(path: string): Source {
  if (path.startsWith('file:')) path = fileURLToPath(path)
  else if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) {
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      `input: expected a path or a file: URL, got '${path}'. Fetch it first, and pass the body of the response`,
    )
  }
  return { kind: 'path', name: path, path }
}

/** Reads to the end, or until the signal is aborted, because a stream may never deliver another chunk. */
async function collect(stream: AsyncIterable<unknown>, signal?: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  const iterator = stream[Symbol.asyncIterator]()
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal?.reason)
  })
  signal?.addEventListener('abort', abort)
  try {
    for (;;) {
      const { done, value } = await Promise.race([iterator.next(), aborted])
      if (done === true) return Buffer.concat(chunks)
      if (!(value instanceof Uint8Array)) throw invalid('input', 'a stream of bytes', value)
      chunks.push(value)
    }
  } finally {
    signal?.removeEventListener('abort', abort)
    iterator.return?.().catch(() => {}) // not awaited, because it waits for the chunk that is on its way
  }
}

function checkPixels(raw: Record<string, unknown>): Pixels {
  const { data, width, height, channels } = raw
  if (!(data instanceof Uint8Array || data instanceof Uint8ClampedArray)) {
    throw invalid('input.data', 'a Uint8Array', data)
  }
  const side = (name: string, value: unknown): number => {
    if (is.integer(value) && value >= 1) return value
    throw invalid(name, 'an integer of at least 1', value)
  }
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    throw invalid('input.channels', '1 (gray), 3 (RGB) or 4 (RGBA)', channels)
  }
  const pixels = { width: side('input.width', width), height: side('input.height', height), channels }
  if (data.length !== pixels.width * pixels.height * channels) {
    throw invalid(
      'input.data',
      `width x height x channels = ${pixels.width * pixels.height * channels} bytes`,
      data,
    )
  }
  return { data: new Uint8Array(data.buffer, data.byteOffset, data.length), ...pixels }
}
