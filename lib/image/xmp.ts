import { inflateSync } from 'node:zlib'
import type { Sharp } from 'sharp'

// XMP data, in which some programs write an image's orientation instead of in its EXIF data. Pillow searches it in the same way.

/** The orientation in the XMP data of a JPEG, PNG or WebP file, 0 to 9 as it stands there; undefined if there is none. */
export function xmpOrientation(bytes: Uint8Array, format: string): number | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const found = /tiff:Orientation(?:="|>)([0-9])/.exec(readers[format]?.(file)?.toString('latin1') ?? '')
  return found === null ? undefined : Number(found[1])
}

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

const readers: Readonly<Record<string, (file: Buffer) => Buffer | undefined>> = {
  jpeg: inJpeg,
  png: inPng,
  webp: inWebp,
}
