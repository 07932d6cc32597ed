import { inflateSync } from 'node:zlib'
import type { Metadata, Sharp } from 'sharp'
import { type AvifOrientation, readTiffHeader } from './header.js'

// XMP data, in which some programs write an image's orientation instead of in its EXIF data. Pillow searches it in the same way.

/**
 * The orientation in the XMP data of a JPEG, PNG, WebP or TIFF file, 0 to 9 as it stands there; undefined if there is none.
 */
export function xmpOrientation(bytes: Uint8Array, format: string): number | undefined {
  return orientationIn(readers[format]?.(toBuffer(bytes)))
}

/**
 * The same for an AVIF file, with sharp's metadata. Undefined also if the file states its orientation in another way, as a
 * property or in its EXIF data, because that counts instead.
 */
export function avifXmpOrientation(
  { exif, xmp }: Pick<Metadata, 'exif' | 'xmp'>,
  { turns, mirror }: AvifOrientation,
): number | undefined {
  const isTurned = turns !== 0 || mirror !== undefined
  const isInExif = exif !== undefined && readTiffHeader(withoutMarker(exif)).orientation !== undefined
  return isTurned || isInExif ? undefined : orientationIn(xmp)
}

const withoutMarker = (exif: Buffer): Buffer =>
  exif.toString('latin1', 0, 6) === 'Exif\0\0' ? exif.subarray(6) : exif

function orientationIn(xmp: Buffer | undefined): number | undefined {
  const found = /tiff:Orientation(?:="|>)([0-9])/.exec(xmp?.toString('latin1') ?? '')
  return found === null ? undefined : Number(found[1])
}

const toBuffer = (bytes: Uint8Array): Buffer => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)

/** The image turned and mirrored as an orientation of EXIF or XMP asks for; unchanged unless it is 2 to 8. */
export function turn(image: Sharp, orientation: number): Sharp {
  // sharp mirrors before it rotates.
  const isMirrored = [2, 4, 5, 7].includes(orientation)
  const angle = { 3: 180, 4: 180, 5: 270, 6: 90, 7: 90, 8: 270 }[orientation]
  const mirrored = isMirrored ? image.flop() : image
  return angle === undefined ? mirrored : mirrored.rotate(angle)
}

const JPEG_XMP = 'http://ns.adobe.com/xap/1.0/\0'

function inJpeg(file: Buffer): Buffer | undefined {
  let xmp: Buffer | undefined
  for (let at = 2; at + 4 <= file.length && file[at] === 0xff; ) {
    const marker = file[at + 1]!
    if (marker === 0xda || marker === 0xd9) break // pixels, or the end
    if (marker === 0xff) {
      at++ // a fill byte
      continue
    }
    const content = file.subarray(at + 4, at + 2 + file.readUInt16BE(at + 2))
    if (marker === 0xe1 && content.toString('latin1', 0, JPEG_XMP.length) === JPEG_XMP)
      xmp = content.subarray(JPEG_XMP.length)
    at += 2 + file.readUInt16BE(at + 2)
  }
  return xmp
}

const PNG_XMP = 'XML:com.adobe.xmp\0'
/** Pillow's limit of a text. */
const MOST_TEXT = 2 ** 20

function inPng(file: Buffer): Buffer | undefined {
  for (let at = 8; at + 12 <= file.length; at += 12 + file.readUInt32BE(at)) {
    const content = file.subarray(at + 8, at + 8 + file.readUInt32BE(at))
    const isXmp =
      file.toString('latin1', at + 4, at + 8) === 'iTXt' &&
      content.toString('latin1', 0, PNG_XMP.length) === PNG_XMP
    if (!isXmp) continue
    const isCompressed = content[PNG_XMP.length] === 1
    const language = PNG_XMP.length + 2
    const translated = content.indexOf(0, language) + 1
    const text = content.subarray(content.indexOf(0, translated) + 1).subarray(0, MOST_TEXT)
    if (!isCompressed) return text
    try {
      return inflateSync(text, { maxOutputLength: MOST_TEXT })
    } catch {
      return undefined
    }
  }
  return undefined
}

function inWebp(file: Buffer): Buffer | undefined {
  for (let at = 12; at + 8 <= file.length; ) {
    const size = file.readUInt32LE(at + 4)
    if (file.toString('latin1', at, at + 4) === 'XMP ') return file.subarray(at + 8, at + 8 + size)
    at += 8 + size + (size & 1)
  }
  return undefined
}

function inTiff(file: Buffer): Buffer | undefined {
  const { orientation, xmp } = readTiffHeader(file)
  return orientation === undefined && xmp !== undefined ? toBuffer(xmp) : undefined
}

const readers: Readonly<Record<string, (file: Buffer) => Buffer | undefined>> = {
  jpeg: inJpeg,
  png: inPng,
  webp: inWebp,
  tiff: inTiff,
}
