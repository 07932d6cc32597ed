import { hash } from 'node:crypto'
import { extname } from 'node:path'
import type { Metadata } from 'sharp'
import { VisionTorchError } from '../errors.js'
import { decode, readImage } from '../image/decode.js'
import { loadSharp } from '../image/sharp.js'
import type { FindingKind } from './finding.js'

/** What one file turns out to be. */
export interface CheckedImage {
  issues: { kind: FindingKind; detail: string }[]
  /** Tells exact duplicates: equal for files of the same bytes. Undefined for what is no image. */
  digest: string | undefined
}

/** Reads and decodes an image exactly as training does. */
export async function checkImage(path: string, signal?: AbortSignal): Promise<CheckedImage> {
  let bytes: Uint8Array
  try {
    bytes = await readImage(path)
  } catch (error) {
    const { cause, message } = error as VisionTorchError
    return broken('unreadable', (cause as NodeJS.ErrnoException)?.code ?? message)
  }
  signal?.throwIfAborted()
  if (bytes.length === 0) return broken('empty-file', '')
  try {
    await decode(bytes, { signal })
  } catch (error) {
    if (!(error instanceof VisionTorchError)) throw error
    // "the image: expected an image, but it is damaged (VipsJpeg: ...). Replace or remove the file"
    const why = error.message.replace(/^.*?expected an image, but it /, '').replace(/\. [^.]*$/, '')
    const detail = /^is damaged \((.*?):?\)$/.exec(why)?.[1] ?? why
    return broken(undecodable(why, bytes), detail)
  }
  const issues: CheckedImage['issues'] = []
  const metadata = await loadSharp()(bytes).metadata()
  const { format, orientation = 1, space } = metadata
  if (formatOf(path) !== format) issues.push({ kind: 'wrong-extension', detail: content(metadata) })
  if (orientation > 1) issues.push({ kind: 'rotated', detail: `EXIF orientation ${orientation}` })
  if (space === 'cmyk') issues.push({ kind: 'cmyk', detail: '' })
  return { issues, digest: hash('sha256', bytes, 'base64') }
}

const broken = (kind: FindingKind, detail: string): CheckedImage => ({
  issues: [{ kind, detail }],
  digest: undefined,
})

function undecodable(why: string, bytes: Uint8Array): FindingKind {
  if (/no known format/.test(why)) return 'not-an-image'
  if (/pixels/.test(why)) return 'bomb'
  return /premature|unexpected end/i.test(why) || endsEarly(bytes) ? 'truncated' : 'damaged'
}

/** Whether a file of which decoding failed lacks the mark that its format ends with. */
function endsEarly(bytes: Uint8Array): boolean {
  const at = (position: number): string => String.fromCharCode(...bytes.subarray(position, position + 4))
  if (at(0).startsWith('\xff\xd8')) return at(bytes.length - 2) !== '\xff\xd9'
  if (at(0) === '\x89PNG') return at(bytes.length - 8) !== 'IEND'
  if (at(0) === 'GIF8') return at(bytes.length - 1) !== ';'
  return (
    at(0) === 'RIFF' && new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) + 8 > bytes.length
  )
}

/** The format that a name promises, by sharp's name for it. */
function formatOf(path: string): string {
  const extension = extname(path).slice(1).toLowerCase()
  const formats: Readonly<Record<string, string>> = { jpg: 'jpeg', jfif: 'jpeg', tif: 'tiff', avif: 'heif' }
  return formats[extension] ?? extension
}

const content = ({ format, compression }: Metadata): string =>
  `content: ${format !== 'heif' ? format.toUpperCase() : compression === 'hevc' ? 'HEIC' : 'AVIF'}`

/** What a file that is not taken for an image holds, where that is an image all the same. */
export async function describeOther(path: string): Promise<string> {
  try {
    return content(await loadSharp()(await readImage(path)).metadata())
  } catch {
    return ''
  }
}
