import assert from 'node:assert/strict'
import sharp from 'sharp'
import { decode } from '../../../lib/image/decode.js'

const [width, height] = [40, 30]
const pixels = width * height
const image = sharp(Buffer.alloc(pixels * 3, 90), { raw: { width, height, channels: 3 } })

/** A file of each format. */
const files: Record<string, () => Promise<Buffer> | Buffer> = {
  'baseline JPEG': () => image.clone().jpeg().toBuffer(),
  'progressive JPEG': () => image.clone().jpeg({ progressive: true }).toBuffer(),
  PNG: () => image.clone().png().toBuffer(),
  WebP: () => image.clone().webp().toBuffer(),
  AVIF: () => image.clone().avif().toBuffer(),
  GIF: () => image.clone().gif().toBuffer(),
  TIFF: () => image.clone().tiff().toBuffer(),
  BMP: bmp,
  PBM: () => Buffer.concat([Buffer.from(`P4 ${width} ${height}\n`), Buffer.alloc((width / 8) * height)]),
  PGM: () => Buffer.concat([Buffer.from(`P5 ${width} ${height} 255\n`), Buffer.alloc(pixels)]),
  PPM: () => Buffer.concat([Buffer.from(`P6 ${width} ${height} 255\n`), Buffer.alloc(3 * pixels)]),
}

function bmp(): Buffer {
  const header = Buffer.alloc(54)
  header.write('BM')
  header.writeUInt32LE(54 + 3 * pixels, 2)
  header.writeUInt32LE(54, 10)
  header.writeUInt32LE(40, 14)
  header.writeInt32LE(width, 18)
  header.writeInt32LE(height, 22)
  header.writeUInt16LE(1, 26)
  header.writeUInt16LE(24, 28)
  return Buffer.concat([header, Buffer.alloc(3 * pixels)])
}

describe('the limit on the number of pixels', () => {
  for (const [format, make] of Object.entries(files))
    it(`applies to ${format}`, async () => {
      const file = await make()
      for (const options of [{}, { fastDecode: 16 }]) {
        await decode(file, { ...options, maxPixels: pixels })
        await assert.rejects(
          decode(file, { ...options, maxPixels: pixels - 1 }),
          ({ code, message, options }) =>
            code === 'ERR_IMAGE_DECODE' && /pixels/.test(message) && options.includes('maxPixels'),
        )
      }
    })
})

describe('TIFF files', () => {
  /** Makes an uncompressed TIFF of gray levels in three samples, with this photometric interpretation. */
  function tiff(photometric: number, more: readonly [tag: number, type: number, ...values: number[]][] = []) {
    const entries: [tag: number, type: number, ...values: number[]][] = [
      [256, 3, 16],
      [257, 3, 16],
      [258, 3, 8, 8, 8],
      [259, 3, 1],
      [262, 3, photometric],
      [273, 4, 400],
      [277, 3, 3],
      [278, 3, 16],
      [279, 4, 768],
      ...more,
    ]
    const file = Buffer.alloc(400 + 768, 128)
    file.fill(0, 0, 400)
    file.write('II*\0', 'latin1')
    file.writeUInt32LE(8, 4)
    file.writeUInt16LE(entries.length, 8)
    let outside = 300 // values that do not fit into their entry
    for (const [i, [tag, type, ...values]] of entries.sort(([a], [b]) => a - b).entries()) {
      const at = 10 + 12 * i
      file.writeUInt16LE(tag, at)
      file.writeUInt16LE(type, at + 2)
      file.writeUInt32LE(values.length, at + 4)
      const size = type === 3 ? 2 : 4
      let place = at + 8
      if (values.length * size > 4) {
        file.writeUInt32LE(outside, place)
        place = outside
        outside += values.length * size
      }
      for (const [k, value] of values.entries()) file.writeUIntLE(value, place + k * size, size)
    }
    return file
  }

  it('of RGB, and of YCbCr at full resolution, are decoded', async () => {
    const gray = new Uint8Array(768).fill(128)
    assert.deepEqual(new Uint8Array((await decode(tiff(2))).data), gray)
    assert.deepEqual(new Uint8Array((await decode(tiff(6, [[530, 3, 1, 1]]))).data), gray)
  })

  it('of Lab, and of subsampled YCbCr, are refused with a remedy', async () => {
    for (const file of [tiff(8), tiff(6), tiff(6, [[530, 3, 2, 1]])])
      await assert.rejects(decode(file), {
        code: 'ERR_IMAGE_DECODE',
        message: /a TIFF with Lab or subsampled YCbCr colours\. Convert it to RGB/,
      })
  })
})
