// Facts from the headers of image files that decide how sharp must decode them to give Pillow's pixels.

export interface JpegHeader {
  width: number
  height: number
  /** 1 is gray, 3 is RGB or YCbCr, 4 is CMYK. */
  components: number
  /** The number of scans: one, unless the file is progressive. */
  scans: number
}

/** Reads the markers of a JPEG file. Returns undefined if there is no frame header. */
export function readJpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let frame: Omit<JpegHeader, 'scans'> | undefined
  let scans = 0
  for (let at = file.indexOf(0xff, 2); at >= 0 && at + 10 <= file.length; at = file.indexOf(0xff, at)) {
    const marker = file[at + 1]!
    if (marker === END) break
    // Skip bytes of the pixels, fill bytes, and markers without a length.
    if (marker < 0xc0 || marker === 0xff || (marker >= 0xd0 && marker <= 0xd8)) {
      at++
      continue
    }
    if (marker === SCAN) scans++
    else if (marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      frame ??= {
        height: file.readUInt16BE(at + 5),
        width: file.readUInt16BE(at + 7),
        components: file[at + 9]!,
      }
    }
    at += 2 + file.readUInt16BE(at + 2)
  }
  return frame && { ...frame, scans }
}

const SCAN = 0xda
const END = 0xd9

export interface GifHeader {
  /** The colour that Pillow shows where the first frame is transparent or does not cover the canvas. */
  background: { r: number; g: number; b: number }
  /** The part of the canvas that the first frame covers. */
  frame: { left: number; top: number; width: number; height: number }
}

/** Reads a GIF up to its first frame. */
export function readGifHeader(bytes: Uint8Array): GifHeader {
  const byte = (position: number) => bytes[position] ?? 0
  const short = (position: number) => byte(position) + 256 * byte(position + 1)
  const tableLength = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0)
  let table = 13
  let at = table + tableLength(byte(10))
  let index = 0 // the index of the colour, unless there is a transparent one
  while (byte(at) === 0x21) {
    const isGraphicControl = byte(at + 1) === 0xf9
    if (isGraphicControl && byte(at + 3) & 1) index = byte(at + 6)
    at += 2
    while (byte(at) > 0) at += byte(at) + 1
    at++
  }
  const frame = { left: short(at + 1), top: short(at + 3), width: short(at + 5), height: short(at + 7) }
  if (byte(at + 9) & 0x80) table = at + 10
  const color = table + 3 * index
  return { background: { r: byte(color), g: byte(color + 1), b: byte(color + 2) }, frame }
}

/** The tags of a TIFF file's first image, as the numbers of the specification. */
export interface TiffHeader {
  width: number
  height: number
  /** The number of bits per pixel. */
  bits: number
  /** The offset of the pointer to the next image, and its size in bytes. */
  next: { at: number; bytes: 4 | 8 } | undefined
  photometric: number
  compression: number
  /** The subsampling of the chroma, horizontally and vertically. */
  subsampling: readonly number[]
  /** The orientation, 1 to 8 unless it is damaged. */
  orientation: number | undefined
  /** XMP data. */
  xmp: Uint8Array | undefined
}

export const TIFF = { YCBCR: 6, LAB: 8, JPEG: 7, UNCOMPRESSED: 1 } as const

/** Reads the tags of a TIFF or BigTIFF file's first image. */
export function readTiffHeader(bytes: Uint8Array): TiffHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const tags = new Map<number, number[]>()
  let next: TiffHeader['next']
  let xmp: TiffHeader['xmp']
  try {
    const little = bytes[0] === 0x49
    const isBig = view.getUint16(2, little) === 43
    const room = isBig ? 8 : 4
    const pointer = (at: number) =>
      isBig ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little)
    const first = pointer(room)
    const count = isBig ? pointer(first) : view.getUint16(first, little)
    const [start, size] = isBig ? [first + 8, 20] : [first + 2, 12]
    for (let entry = start; entry < start + size * Math.min(count, 65535); entry += size) {
      const [tag, type] = [view.getUint16(entry, little), view.getUint16(entry + 2, little)]
      const isLong = type === 4
      const length = Math.min(pointer(entry + 4), 4)
      const at = length * (isLong ? 4 : 2) > room ? pointer(entry + size - room) : entry + size - room
      if (tag === XMP_TAG) {
        const length = pointer(entry + 4)
        const from = length > room ? pointer(entry + size - room) : entry + size - room
        xmp = bytes.subarray(from, from + length)
      }
      if (!KNOWN_TAGS.has(tag)) continue // an unknown tag may point anywhere
      const values = Array.from({ length }, (_, i) =>
        isLong ? view.getUint32(at + 4 * i, little) : view.getUint16(at + 2 * i, little),
      )
      tags.set(tag, values)
    }
    next = { at: start + size * count, bytes: room }
    if (pointer(next.at) === 0) next = undefined
  } catch {
    // Damage is for the decoder to find.
  }
  const value = (tag: number, otherwise: number) => tags.get(tag)?.[0] ?? otherwise
  return {
    width: value(256, 0),
    height: value(257, 0),
    bits: value(258, 1) * value(277, 1),
    next,
    photometric: value(262, -1),
    compression: value(259, 1),
    subsampling: tags.get(530) ?? [2, 2],
    orientation: tags.get(274)?.[0],
    xmp,
  }
}

const KNOWN_TAGS: ReadonlySet<number> = new Set([256, 257, 258, 259, 262, 274, 277, 530])
const XMP_TAG = 700

/** Removes the images after the first one from the file, because libtiff would go through all of them. */
export function firstTiffImage(bytes: Uint8Array, { next }: TiffHeader): Uint8Array {
  return next === undefined ? bytes : Buffer.from(bytes).fill(0, next.at, next.at + next.bytes)
}

/**
 * Removes texts and the colour profile from a PNG file. The pixels do not depend on them, but libpng would decompress them,
 * up to 8 MB each.
 */
export function withoutTexts(png: Uint8Array): Uint8Array {
  const file = Buffer.from(png.buffer, png.byteOffset, png.length)
  const kept: Buffer[] = []
  let from = 0
  for (let at = 8; at + 12 <= file.length; ) {
    const end = at + 12 + file.readUInt32BE(at)
    if (TEXT_CHUNKS.has(file.toString('latin1', at + 4, at + 8))) {
      if (at > from) kept.push(file.subarray(from, at))
      from = end
    }
    at = end
  }
  return from === 0 ? png : Buffer.concat([...kept, file.subarray(from)])
}

const TEXT_CHUNKS: ReadonlySet<string> = new Set(['tEXt', 'zTXt', 'iTXt', 'iCCP'])

/** The orientation of an AVIF file's image: its pixels are first turned, then mirrored. */
export interface AvifOrientation {
  /** The number of quarter turns, counterclockwise. */
  turns: number
  mirror: 'vertical' | 'horizontal' | undefined
}

/**
 * Reads the orientation of an AVIF file's image, which sharp applies but Pillow does not. Only the properties of the primary
 * item count (ISO/IEC 23008-12): meta/pitm names it, meta/iprp/ipma lists its properties, and meta/iprp/ipco holds them.
 */
export function readAvifOrientation(bytes: Uint8Array): AvifOrientation {
  const orientation: AvifOrientation = { turns: 0, mirror: undefined }
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  try {
    const meta = boxes(file)
      .find(({ type }) => type === 'meta')!
      .content.subarray(4)
    const inMeta = boxes(meta)
    const pitm = inMeta.find(({ type }) => type === 'pitm')!.content
    const primary = pitm[0] === 0 ? pitm.readUInt16BE(4) : pitm.readUInt32BE(4)
    const iprp = boxes(inMeta.find(({ type }) => type === 'iprp')!.content)
    const properties = boxes(iprp.find(({ type }) => type === 'ipco')!.content)
    for (const { content } of iprp.filter(({ type }) => type === 'ipma')) {
      for (const index of associations(content, primary)) {
        const { type, content: value } = properties[index - 1] ?? { type: '', content: Buffer.alloc(1) }
        if (type === 'irot') orientation.turns = value[0]! & 3
        if (type === 'imir') orientation.mirror = value[0]! & 1 ? 'horizontal' : 'vertical'
      }
    }
  } catch {
    // Damage is for the decoder to find.
  }
  return orientation
}

function boxes(data: Buffer): { type: string; content: Buffer }[] {
  const found: { type: string; content: Buffer }[] = []
  for (let at = 0; at + 8 <= data.length; ) {
    let [size, header] = [data.readUInt32BE(at), 8]
    if (size === 1) [size, header] = [Number(data.readBigUInt64BE(at + 8)), 16]
    if (size === 0) size = data.length - at
    if (size < header) break
    found.push({
      type: data.toString('latin1', at + 4, at + 8),
      content: data.subarray(at + header, at + size),
    })
    at += size
  }
  return found
}

/** The properties of an item, as indices from 1. */
function associations(ipma: Buffer, item: number): number[] {
  const wideItems = ipma[0]! > 0
  const wideIndices = (ipma[3]! & 1) === 1
  let at = 8
  for (let entries = ipma.readUInt32BE(4); entries > 0; entries--) {
    const id = wideItems ? ipma.readUInt32BE(at) : ipma.readUInt16BE(at)
    at += wideItems ? 4 : 2
    const count = ipma.readUInt8(at++)
    const indices: number[] = []
    for (let i = 0; i < count; i++, at += wideIndices ? 2 : 1) {
      indices.push(wideIndices ? ipma.readUInt16BE(at) & 0x7fff : ipma.readUInt8(at) & 0x7f)
    }
    if (id === item) return indices
  }
  return []
}
