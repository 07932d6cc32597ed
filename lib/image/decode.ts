import type { Sharp, SharpOptions } from 'sharp'
import { type Addon, native, type Pixels } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { toPath } from '../util/file-name.js'
import { cannotRead, openRegular } from '../util/files.js'
import { check } from '../util/is.js'
import { type Format, identify, START_BYTES } from './format.js'
import {
  type AvifOrientation,
  firstTiffImage,
  type GifHeader,
  readAvifOrientation,
  readGifHeader,
  readJpegHeader,
  readTiffHeader,
  TIFF,
  withoutTexts,
} from './header.js'
import { type ImageInput, openInput, type RawImage, type Source } from './input.js'
import { loadSharp } from './sharp.js'
import { avifXmpOrientation, turn, xmpOrientation } from './xmp.js'
import { ycbcrToRgb } from './ycbcr.js'

export interface DecodeOptions {
  /**
   * Turns the image upright according to its EXIF orientation, like Pillow's `ImageOps.exif_transpose`. Default
   * false.
   */
  autoOrient?: boolean
  /**
   * Decodes to about this shorter side, in pixels, if the file is larger: JPEG and WebP then decode only a fraction of the
   * picture. This is much faster, but the pixels differ from those of a full decode, so use it only for training. Default:
   * full size.
   */
  fastDecode?: number
  /** The largest number of pixels that an image may have, up to {@link MAX_PIXELS}, the default. */
  maxPixels?: number
  /** @internal The name in errors of an image without a path. */
  name?: string
  signal?: AbortSignal | undefined
}

/** Pillow's limit: an image with more pixels is refused as a decompression bomb. */
export const MAX_PIXELS = 178_956_970

/** The longest side of an image, as in native/image/fault.h. */
const MAX_SIDE = 1 << 18

// As in native/image/jpeg.cc.
const MAX_SCANS = 100
const MAX_SCANNED_PIXELS = 2e9

// These settings give Pillow's pixels: profiles and alpha are ignored, and a truncated file is an error.
const SHARP_OPTIONS = { failOn: 'truncated', ignoreIcc: true } satisfies SharpOptions

/**
 * Decodes an image to RGB rows, byte for byte as Pillow's `Image.open(file).convert('RGB')` does: the first frame,
 * alpha dropped, colour profile ignored, not rotated (except TIFF, which Pillow rotates) unless `autoOrient` is set. Of 16
 * bits, the high 8 are kept, also in gray images, which Pillow clips at 255. The addon decodes JPEG, BMP, PBM, PGM and PPM;
 * sharp decodes PNG, WebP, AVIF, GIF and TIFF. The first bytes of a file decide its format, not its name.
 *
 * @throws VisionTorchError `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`, or `ERR_IMAGE_DECODE` if the input is not an image, is
 * damaged, or has more than `maxPixels` pixels; in the last case, the error names `maxPixels` in its `options`.
 */
export async function decode(input: ImageInput, options: DecodeOptions = {}): Promise<Pixels> {
  check.options('options', options, ['autoOrient', 'fastDecode', 'maxPixels', 'name', 'signal'])
  const { autoOrient = false, fastDecode, maxPixels = MAX_PIXELS, signal } = options
  check.integer('maxPixels', maxPixels, 1, MAX_PIXELS)
  signal?.throwIfAborted()
  const source = await openInput(input, signal)
  if (options.name !== undefined) source.name = options.name
  if (source.kind === 'pixels') return source.pixels
  try {
    const pixels = fastDecode === undefined ? await decodeInAddon(source, autoOrient, maxPixels) : null
    signal?.throwIfAborted()
    if (pixels !== null) return pixels
    if (source.kind === 'sharp') return await decodeWithSharp(source.sharp.clone(), options)
    const bytes = source.kind === 'path' ? await readImage(source.path) : source.bytes
    signal?.throwIfAborted()
    return await decodeBytes(bytes, source.name, options)
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof VisionTorchError) throw error
    throw failure(source.name, explain(error, maxPixels), error)
  }
}

/**
 * @internal Frees pixels that {@link decode} returned for `input`, unless they are the caller's own. They take no memory of
 * V8's heap, which would therefore collect its whole heap every few images to get rid of them.
 */
export function release(pixels: Pixels, input: ImageInput): void {
  const isOwn = (input as Partial<RawImage>).data?.buffer !== pixels.data.buffer
  if (isOwn) native().release(pixels.data)
}

/** The addon, or null if there is no LibTorch, because `visiontorch doctor` must check images even then. */
function findAddon(): Addon | null {
  try {
    return native()
  } catch {
    return null
  }
}

let addon: Addon | null | undefined

/**
 * Decodes a file with the addon, in less than half of sharp's time. Null for other formats, and for files that cannot
 * be read.
 */
async function decodeInAddon(source: Source, autoOrient: boolean, maxPixels: number): Promise<Pixels | null> {
  addon ??= findAddon()
  if (addon === null) return null
  if (source.kind === 'bytes')
    return withName(source.name, addon.decodeBytes(source.bytes, maxPixels, autoOrient))
  // The addon takes only paths that are UTF-8.
  const isText = source.kind === 'path' && typeof toPath(source.path) === 'string'
  return isText ? withName(source.name, addon.decodeFile(source.path, maxPixels, autoOrient)) : null
}

/** Adds the name of the image to an error of the addon. */
async function withName<T>(name: string, decoded: Promise<T>): Promise<T> {
  return decoded.catch(error => {
    if (!(error instanceof VisionTorchError) || error.code !== 'ERR_IMAGE_DECODE') throw error
    throw failure(name, error.message, error)
  })
}

async function decodeBytes(bytes: Uint8Array, name: string, options: DecodeOptions): Promise<Pixels> {
  const format = checkFormat(bytes, name)
  const { maxPixels = MAX_PIXELS } = options
  if (format === 'bmp' || format === 'ppm')
    return (await withName(name, native().decodeBytes(bytes, maxPixels)))!
  const open = (file: Uint8Array) => loadSharp()(file, { ...SHARP_OPTIONS, limitInputPixels: maxPixels })
  /** The orientation in the XMP data counts if the EXIF data has none. */
  const decodeWithXmp = async (image: Sharp, isCmyk = false) => {
    const byXmp = options.autoOrient ? xmpOrientation(bytes, format) : undefined
    const isInExif = byXmp !== undefined && (await image.metadata()).orientation !== undefined
    return decodeWithSharp(image, { ...options, isCmyk, orientation: isInExif ? undefined : byXmp })
  }
  switch (format) {
    case 'jpeg': {
      const { width = 0, height = 0, components, scans = 0 } = readJpegHeader(bytes) ?? {}
      if (scans > Math.min(MAX_SCANS, MAX_SCANNED_PIXELS / (width * height))) {
        throw failure(
          name,
          `it is a progressive JPEG with ${scans} scans, more than any program writes for an image of its size`,
        )
      }
      return decodeWithXmp(open(bytes), components === 4)
    }
    case 'gif': {
      const { background, frame } = readGifHeader(bytes)
      const pixels = await decodeWithSharp(open(bytes).flatten({ background }), { ...options, isCmyk: false })
      if (options.fastDecode === undefined) fillAround(pixels, frame, background)
      return pixels
    }
    case 'tiff': {
      const header = readTiffHeader(bytes)
      const { width, height, photometric, compression, subsampling } = header
      checkSides(name, width, height)
      if (compression === TIFF.UNCOMPRESSED && (width * height * header.bits) / 8 > bytes.length) {
        throw failure(name, 'it is damaged (premature end of the file). Replace or remove the file')
      }
      const isYCbCr = photometric === TIFF.YCBCR && compression !== TIFF.JPEG // else libtiff converts it
      if (photometric === TIFF.LAB || (isYCbCr && subsampling.some(step => step !== 1))) {
        throw failure(name, 'it is a TIFF with Lab or subsampled YCbCr colours. Convert it to RGB')
      }
      const image = open(firstTiffImage(bytes, header))
      const orientation = xmpOrientation(bytes, format)
      const pixels = await decodeWithSharp(image, { ...options, autoOrient: true, orientation })
      if (isYCbCr) ycbcrToRgb(pixels.data)
      return pixels
    }
    case 'avif': {
      const property = readAvifOrientation(bytes) // sharp always turns the image by it
      const image = open(bytes)
      const orientation = options.autoOrient
        ? avifXmpOrientation(await image.metadata(), property)
        : undefined
      const autoOrient = orientation !== undefined
      const pixels = await decodeWithSharp(image, { ...options, autoOrient, orientation, isCmyk: false })
      return options.autoOrient ? pixels : turnBack(pixels, property)
    }
    case 'png': {
      const header = Buffer.from(bytes.buffer, bytes.byteOffset, Math.min(bytes.length, 24))
      if (header.length === 24 && header.includes('IHDR', 12)) {
        checkSides(name, header.readUInt32BE(16), header.readUInt32BE(20))
      }
      return decodeWithXmp(open(withoutTexts(bytes)))
    }
    case 'webp':
      return decodeWithXmp(open(bytes))
  }
}

/** Refuses a line of millions of pixels, which would take libvips minutes, and could not be resized afterwards. */
function checkSides(name: string, width: number, height: number): void {
  if (Math.max(width, height) <= MAX_SIDE) return
  throw failure(
    name,
    `it has ${width} x ${height} pixels, more than ${MAX_SIDE.toLocaleString('en')} along a side. Cut it first`,
  )
}

/** @internal The format of an image file by its first bytes. Throws `ERR_IMAGE_DECODE` if it cannot be decoded. */
export function checkFormat(start: Uint8Array, name: string): Format {
  if (start.length === 0) throw failure(name, 'it is empty')
  const { format, what } = identify(start)
  if (format !== undefined) return format
  const is = what === undefined ? 'its format is unknown' : `it is ${what}`
  throw failure(name, `${is}. JPEG, PNG, WebP, AVIF, GIF, TIFF, BMP, PBM, PGM and PPM can be decoded`)
}

interface SharpDecodeOptions extends DecodeOptions {
  /** Undefined if sharp has to find it out, which takes a tenth of the time for decoding a photo. */
  isCmyk?: boolean
  /** The orientation by which `autoOrient` turns the image. Undefined for that of its EXIF data. */
  orientation?: number | undefined
}

async function decodeWithSharp(
  image: Sharp,
  { autoOrient = false, fastDecode, isCmyk, orientation }: SharpDecodeOptions,
): Promise<Pixels> {
  isCmyk ??= (await image.metadata()).space === 'cmyk'
  if (autoOrient) image = orientation === undefined ? image.autoOrient() : turn(image, orientation)
  if (fastDecode !== undefined) image = shrink(image, check.integer('options.fastDecode', fastDecode, 1))
  return isCmyk ? decodeCmyk(image) : decodeRgb(image)
}

/** Paints the part of a canvas that a frame does not cover. */
function fillAround(
  { data, width, height }: Pixels,
  frame: GifHeader['frame'],
  { r, g, b }: GifHeader['background'],
): void {
  const [right, bottom] = [frame.left + frame.width, frame.top + frame.height]
  if (frame.left === 0 && frame.top === 0 && right >= width && bottom >= height) return
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (y >= frame.top && y < bottom && x >= frame.left && x < right) continue
      data.set([r, g, b], 3 * (y * width + x))
    }
  }
}

/** Undoes what sharp did, in reverse order. */
async function turnBack(pixels: Pixels, { turns, mirror }: AvifOrientation): Promise<Pixels> {
  const raw = ({ data, width, height }: Pixels) =>
    loadSharp()(data, { limitInputPixels: MAX_PIXELS, raw: { width, height, channels: 3 } })
  if (mirror !== undefined) {
    pixels = await decodeRgb(mirror === 'vertical' ? raw(pixels).flip() : raw(pixels).flop())
  }
  return turns === 0 ? pixels : decodeRgb(raw(pixels).rotate(90 * turns))
}

/**
 * @internal Reads an image file. Throws `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`, or `ERR_IMAGE_DECODE` if its first bytes are
 * not those of an image.
 */
export async function readImage(path: string): Promise<Uint8Array> {
  try {
    const { file, size } = await openRegular(path)
    try {
      const start = Buffer.alloc(Math.min(size, START_BYTES))
      const { bytesRead } = await file.read(start, 0, start.length, 0)
      checkFormat(start.subarray(0, bytesRead), path)
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw cannotRead(path, error)
  }
}

function shrink(image: Sharp, shorterSide: number): Sharp {
  return image.resize(shorterSide, shorterSide, {
    fit: 'outside',
    kernel: 'linear',
    withoutEnlargement: true,
  })
}

async function decodeRgb(image: Sharp): Promise<Pixels> {
  const { data, info } = await image
    .removeAlpha()
    .toColourspace('srgb')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return { data, width: info.width, height: info.height, channels: info.channels }
}

/** Keeps the inks unchanged, because libvips would convert them through a profile, which Pillow does not. */
async function decodeCmyk(image: Sharp): Promise<Pixels> {
  const { data, info } = await image
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return { data: await native().cmykToRgb(data), width: info.width, height: info.height, channels: 3 }
}

function failure(name: string, why: string, cause?: unknown): VisionTorchError {
  return new VisionTorchError('ERR_IMAGE_DECODE', `${name}: expected an image, but ${why}`, {
    cause,
    options: isSizeLimit(cause) ? ['maxPixels'] : [],
  })
}

/** Whether a decoder, sharp or the addon (native/image/fault.h), refused an image for its size. */
const isSizeLimit = (error: unknown): boolean =>
  error instanceof Error && /exceeds pixel limit|pixels, more than \d+ in all/.test(error.message)

function explain(error: unknown, maxPixels: number): string {
  if (isSizeLimit(error))
    return `it has more than ${maxPixels.toLocaleString('en')} pixels. Make it smaller first`
  const message = error instanceof Error ? error.message.split('\n')[0]! : String(error)
  return `it is damaged (${message}). Replace or remove the file`
}
