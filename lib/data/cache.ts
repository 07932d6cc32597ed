import { createHash } from 'node:crypto'
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Pixels } from '../native/native.js'
import { encodeName, toPath } from '../util/file-name.js'
import { cannotWrite, removeLeftovers, temporaryPath } from '../util/files.js'
import type { Sample } from './dataset.js'

export type CacheMode = 'none' | 'memory' | 'disk'
/** Returns the pixels of an image in a data set. */
export type Decode = (sample: Sample) => Promise<Pixels>

/**
 * Decodes each file once and keeps its exact pixels.
 * @param variant Distinguishes pixels on the disk that were decoded in different ways.
 */
export function cachedDecode(mode: CacheMode, decode: Decode, variant: string): Decode {
  if (mode === 'memory') return memoryCache(decode, process.availableMemory() / 2)
  return mode === 'disk' ? diskCache(decode, imageCacheDirectory(), variant) : decode
}

/** Keeps up to `budget` bytes of pixels; further images are decoded each time. */
export function memoryCache(decode: Decode, budget: number): Decode {
  const kept = new Map<string, Pixels>()
  let bytes = 0
  return async sample => {
    const { path } = sample
    const known = kept.get(path)
    if (known !== undefined) return known
    const pixels = await decode(sample)
    if (bytes + pixels.data.byteLength <= budget && !kept.has(path)) {
      bytes += pixels.data.byteLength
      kept.set(path, pixels)
    }
    return pixels
  }
}

/**
 * Keeps uncompressed pixels, about ten times the size of a JPEG. The names of the files derive from the variant and the
 * image: its path, size and modification time, or its content.
 */
export function diskCache(decode: Decode, directory: string, variant = ''): Decode {
  let made: Promise<unknown> | undefined
  return async sample => {
    const file = join(directory, await key(sample, variant))
    const known = await readPixels(file)
    if (known !== undefined) return known
    const pixels = await decode(sample)
    made ??= mkdir(directory, { recursive: true }).then(() => removeLeftovers(directory))
    const temporary = temporaryPath(directory)
    try {
      await made
      await writeFile(temporary, [header(pixels), pixels.data])
      await rename(temporary, file)
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => {})
      throw cannotWrite(file, error)
    }
    return pixels
  }
}

/** The folder for `cache: 'disk'`. Its files may be deleted at any time. */
export function imageCacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'visiontorch', 'images')
}

async function key({ path, read }: Sample, variant: string): Promise<string> {
  const hash = createHash('sha256')
  if (read !== undefined)
    return `${hash
      .update(await read())
      .update(variant)
      .digest('hex')}.pixels`
  // The decoder reports a file that does not exist.
  const { size, mtimeMs } = await stat(toPath(path)).catch(() => ({ size: 0, mtimeMs: 0 }))
  return `${hash.update(encodeName(path)).update(`\0${size}\0${mtimeMs}${variant}`).digest('hex')}.pixels`
}

const headerBytes = 12

function header({ width, height, channels }: Pixels): Uint8Array {
  return Buffer.from(Uint32Array.of(width, height, channels).buffer)
}

/** Returns undefined if the file does not exist or is incomplete. */
async function readPixels(file: string): Promise<Pixels | undefined> {
  const bytes = await readFile(file).catch(() => undefined)
  if (bytes === undefined || bytes.length < headerBytes) return undefined
  const [width, height, channels] = [0, 4, 8].map(at => bytes.readUInt32LE(at)) as [number, number, number]
  if (bytes.length !== headerBytes + width * height * channels) return undefined
  return { data: bytes.subarray(headerBytes), width, height, channels }
}
