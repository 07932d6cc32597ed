import type { Sharp, SharpOptions } from 'sharp'
import { VisionTorchError } from '../errors.js'
import { toPath } from '../file-name.js'
import { openRegular } from '../files.js'
import { check } from '../is.js'
import { type Addon, native, type Pixels } from '../native.js'
import { gifTransparentColor, isCmyk } from './header.js'
import { type ImageInput, openInput, type Source } from './input.js'
import { loadSharp } from './sharp.js'

export interface DecodeOptions {
  /** Turn the image as its EXIF orientation says. Default false: Pillow and torchvision do not. */
  autoOrient?: boolean
  /**
   * Decode to about this shorter side, in pixels, where the file is larger: JPEG and WebP then decode a fraction of the
   * picture. Much faster, but other pixels than a full decode gives: for training only. Default: full size.
   */
  fastDecode?: number
  signal?: AbortSignal | undefined
}

/** Pillow's: an image with more pixels than this is refused as a decompression bomb. */
export const MAX_PIXELS = 178_956_970

// So that the pixels are Pillow's: profiles and alpha are ignored, and a truncated file is an error.
const SHARP_OPTIONS = {
  failOn: 'truncated',
  ignoreIcc: true,
  limitInputPixels: MAX_PIXELS,
} satisfies SharpOptions

/**
 * Decodes an image to RGB rows, byte for byte as Pillow's `Image.open(file).convert('RGB')` does: the first frame,
 * alpha dropped, colour profile ignored, not turned. Of 16 bits the high 8 are kept, also in gray images, which Pillow
 * clips at 255. JPEG is decoded by the addon, all else by sharp.
 *
 * @throws VisionTorchError `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`, or `ERR_IMAGE_DECODE` for what is not an image, is
 * damaged, or has more than {@link MAX_PIXELS} pixels.
 */
export async function decode(input: ImageInput, options: DecodeOptions = {}): Promise<Pixels> {
  check.options('options', options, ['autoOrient', 'fastDecode', 'signal'])
  const { autoOrient = false, fastDecode, signal } = options
  signal?.throwIfAborted()
  const source = await openInput(input, signal)
  if (source.kind === 'pixels') return source.pixels
  if (!autoOrient && fastDecode === undefined) {
    const pixels = await decodeJpeg(source)
    signal?.throwIfAborted()
    if (pixels !== null) return pixels
  }
  const sharp = loadSharp()
  const bytes =
    source.kind === 'path' ? await readImage(source.path) : source.kind === 'bytes' ? source.bytes : undefined
  signal?.throwIfAborted()
  if (bytes?.length === 0) throw failure(source.name, 'it is empty')
  try {
    let image = source.kind === 'sharp' ? source.sharp.clone() : sharp(bytes, SHARP_OPTIONS)
    const cmyk = (bytes && isCmyk(bytes)) ?? (await image.metadata()).space === 'cmyk'
    const transparent = bytes && gifTransparentColor(bytes)
    if (transparent) image = image.flatten({ background: transparent })
    if (autoOrient) image = image.autoOrient()
    if (fastDecode !== undefined) image = shrink(image, check.integer('options.fastDecode', fastDecode, 1))
    const pixels = cmyk ? await decodeCmyk(image) : await decodeRgb(image)
    signal?.throwIfAborted()
    return pixels
  } catch (error) {
    if (error instanceof VisionTorchError || signal?.aborted) throw error
    throw failure(source.name, explain(error), error)
  }
}

/** A sound JPEG, in less than half of sharp's time; null for all else, of which sharp also tells what is wrong. */
async function decodeJpeg(source: Source): Promise<Pixels | null> {
  jpegDecoder ??= findJpegDecoder()
  if (source.kind === 'path') {
    const path = toPath(source.path)
    return jpegDecoder(typeof path === 'string' ? path : await readImage(source.path), MAX_PIXELS)
  }
  return source.kind === 'bytes' ? jpegDecoder(source.bytes, MAX_PIXELS) : null
}

type JpegDecoder = Addon['decodeJpeg']
let jpegDecoder: JpegDecoder | undefined

/** The addon's, or none where there is no LibTorch: `visiontorch doctor` looks at images all the same. */
function findJpegDecoder(): JpegDecoder {
  try {
    return native().decodeJpeg
  } catch {
    return async () => null
  }
}

/** @internal The content of an image file. Throws `ERR_FILE_NOT_FOUND` or `ERR_FILE_READ`. */
export async function readImage(path: string): Promise<Uint8Array> {
  try {
    const { file } = await openRegular(path)
    try {
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    if (error instanceof VisionTorchError) throw error
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      throw new VisionTorchError('ERR_FILE_NOT_FOUND', `${path}: no such file. Check the path`, {
        cause: error,
      })
    }
    throw new VisionTorchError('ERR_FILE_READ', `${path}: cannot be read: ${message}`, { cause: error })
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

/** The inks as they are, since libvips would convert them through a profile, which Pillow does not. */
async function decodeCmyk(image: Sharp): Promise<Pixels> {
  const { data, info } = await image
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
  return { data: await native().cmykToRgb(data), width: info.width, height: info.height, channels: 3 }
}

function failure(name: string, why: string, cause?: unknown): VisionTorchError {
  return new VisionTorchError('ERR_IMAGE_DECODE', `${name}: expected an image, but ${why}`, { cause })
}

function explain(error: unknown): string {
  const message = error instanceof Error ? error.message.split('\n')[0]! : String(error)
  if (/unsupported image format/.test(message)) {
    return 'it is of no known format. JPEG, PNG, WebP, AVIF, GIF and TIFF can be decoded'
  }
  if (/exceeds pixel limit/.test(message)) {
    return `it has more than ${MAX_PIXELS.toLocaleString('en')} pixels. Make it smaller first`
  }
  return `it is damaged (${message}). Replace or remove the file`
}
