import { hash } from 'node:crypto'
import { extname } from 'node:path'
import type { Sample } from '../data/dataset.js'
import { decode, readImage } from '../image/decode.js'
import { type Format, identify } from '../image/format.js'
import { loadSharp } from '../image/sharp.js'
import { xmpOrientation } from '../image/xmp.js'
import { VisionTorchError } from '../util/errors.js'
import type { FindingKind } from './finding.js'

/** The result of checking one file. */
export interface CheckedImage {
  issues: { kind: FindingKind; detail: string }[]
  /** The same for files with the same bytes, to find exact duplicates. Undefined if the file is not an image. */
  digest: string | undefined
}

/** Reads and decodes an image exactly as training does. */
export async function checkImage(
  { path, read }: Pick<Sample, 'path' | 'read'>,
  signal?: AbortSignal,
): Promise<CheckedImage> {
  let bytes: Uint8Array = new Uint8Array()
  try {
    bytes = read === undefined ? await readImage(path) : await read()
    await decode(bytes, { signal })
  } catch (error) {
    signal?.throwIfAborted()
    if (!(error instanceof VisionTorchError)) throw error
    const { code, cause, message } = error
    if (code === 'ERR_FILE_NOT_FOUND' || code === 'ERR_FILE_READ') {
      return broken('unreadable', (cause as NodeJS.ErrnoException | undefined)?.code ?? message)
    }
    if (code !== 'ERR_IMAGE_DECODE') throw error
    const why = whyNot(message)
    if (why === 'is empty') return broken('empty-file', '')
    return broken(undecodable(message, bytes), /^is damaged \((.*?):?\)$/.exec(why)?.[1] ?? why)
  }
  const issues: CheckedImage['issues'] = []
  const { format = '' } = identify(bytes)
  const hasName = read === undefined || extname(path) !== ''
  if (hasName && formatOf(path) !== format) issues.push({ kind: 'wrong-extension', detail: content(format) })
  const { orientation, space } = sharpFormats.has(format) ? await loadSharp()(bytes).metadata() : {}
  const [source, turned] =
    orientation === undefined ? ['XMP', xmpOrientation(bytes, format) ?? 1] : ['EXIF', orientation]
  if (turned > 1 && turned < 9 && format !== 'tiff')
    issues.push({ kind: 'rotated', detail: `${source} orientation ${turned}` })
  if (space === 'cmyk') issues.push({ kind: 'cmyk', detail: '' })
  return { issues, digest: hash('sha256', bytes, 'base64') }
}

const broken = (kind: FindingKind, detail: string): CheckedImage => ({
  issues: [{ kind, detail }],
  digest: undefined,
})

/**
 * Reduces "the image: expected an image, but it is damaged (VipsJpeg: ...). Replace or remove it" to "is damaged
 * (VipsJpeg: ...)".
 */
const whyNot = (message: string): string =>
  message.replace(/^.*?expected an image, but it /s, '').replace(/\. (?:[^.]*|.* can be decoded)$/, '')

function undecodable(message: string, bytes: Uint8Array): FindingKind {
  if (/can be decoded$/.test(message)) return 'not-an-image'
  if (/ pixels| scans/.test(message)) return 'bomb'
  return /premature|unexpected end/i.test(message) || endsEarly(bytes) ? 'truncated' : 'damaged'
}

/** Whether a file that cannot be decoded lacks the end marker of its format. */
function endsEarly(bytes: Uint8Array): boolean {
  const at = (position: number): string => String.fromCharCode(...bytes.subarray(position, position + 4))
  if (at(0).startsWith('\xff\xd8')) return at(bytes.length - 2) !== '\xff\xd9'
  if (at(0) === '\x89PNG') return at(bytes.length - 8) !== 'IEND'
  if (at(0) === 'GIF8') return at(bytes.length - 1) !== ';'
  return (
    at(0) === 'RIFF' && new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) + 8 > bytes.length
  )
}

const sharpFormats: ReadonlySet<string> = new Set<Format>(['jpeg', 'png', 'webp', 'gif', 'tiff', 'avif'])

/** The image format that belongs to a file name. */
function formatOf(path: string): string {
  const extension = extname(path).slice(1).toLowerCase()
  const formats: Readonly<Record<string, Format>> = {
    jpg: 'jpeg',
    jfif: 'jpeg',
    tif: 'tiff',
    pgm: 'ppm',
    pbm: 'ppm',
  }
  return formats[extension] ?? extension
}

const content = (what: string): string => `content: ${what.toUpperCase()}`

/** Describes the image in a file that is not named like an image, if it holds one. */
export async function describeOther(path: string): Promise<string> {
  try {
    return content(identify(await readImage(path)).format!)
  } catch (error) {
    const [, image] = /^is an? (.*) image$/.exec(whyNot((error as Error).message)) ?? []
    return image === undefined ? '' : content(image)
  }
}
