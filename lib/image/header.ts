/**
 * Whether an image file holds CMYK pixels, where its first bytes say so at once; undefined where the decoder must be
 * asked. Asking costs a tenth of decoding a photograph, and nearly every image is one of these formats.
 */
export function isCmyk(bytes: Uint8Array): boolean | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  if (bytes.length < 16) return undefined
  if (view.getUint16(0) === 0xffd8) return jpegComponents(view)
  const start = view.getUint32(0)
  const png = start === 0x89504e47
  const gif = start === 0x47494638
  const webp = start === 0x52494646 && view.getUint32(8) === 0x57454250
  const avif = view.getUint32(4) === 0x66747970
  return png || gif || webp || avif ? false : undefined
}

/** Walks a JPEG's segments to its frame header, which holds the number of components. */
function jpegComponents(view: DataView): boolean | undefined {
  let position = 2
  while (position + 10 <= view.byteLength && view.getUint8(position) === 0xff) {
    const marker = view.getUint8(position + 1)
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)
    if (isFrame) return view.getUint8(position + 9) === 4
    if (marker < 0xc0 || (marker >= 0xd0 && marker <= 0xda)) return undefined
    position += 2 + view.getUint16(position + 2)
  }
  return undefined
}

/**
 * The colour that a GIF's first frame gives its transparent pixels, which Pillow shows when it drops alpha; undefined
 * where the file is no GIF or has no transparent pixels.
 */
export function gifTransparentColor(bytes: Uint8Array): { r: number; g: number; b: number } | undefined {
  const signature = 'GIF8'
  if (![...signature].every((letter, i) => bytes[i] === letter.charCodeAt(0))) return undefined
  const byte = (position: number) => bytes[position] ?? 0
  const tableLength = (flags: number) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0)
  let table = 13
  let position = table + tableLength(byte(10))
  let transparent: number | undefined
  while (byte(position) === 0x21) {
    const isGraphicControl = byte(position + 1) === 0xf9
    if (isGraphicControl && byte(position + 3) & 1) transparent = byte(position + 6)
    position += 2
    while (byte(position) > 0) position += byte(position) + 1
    position++
  }
  if (transparent === undefined || byte(position) !== 0x2c) return undefined
  if (byte(position + 9) & 0x80) table = position + 10
  const color = table + 3 * transparent
  return { r: byte(color), g: byte(color + 1), b: byte(color + 2) }
}
