import assert from 'node:assert/strict'
import { crc32, deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { decode } from '../../../lib/image/decode.js'

const bytes = (text: string) => Buffer.from(text, 'latin1')

describe('the content of a file, whatever its name', () => {
  const svg =
    '<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"><rect width="9" height="9"/></svg>'
  const refused: [string, Buffer, RegExp][] = [
    ['an SVG', bytes(svg), /a vector drawing, not a photo/],
    ['an SVG after a prolog', bytes(`\n<?xml version="1.0"?>\n<!-- drawn -->${svg}`), /a vector drawing/],
    ['an SVG in UTF-8 with a mark', bytes(`\xef\xbb\xbf${svg}`), /a vector drawing/],
    ['an SVG in UTF-16', Buffer.from(`\ufeff${svg}`, 'utf16le'), /a vector drawing/],
    ['an SVG with a prefix', bytes('<svg:svg xmlns:svg="http://www.w3.org/2000/svg"/>'), /a vector drawing/],
    ['XML', bytes('<?xml version="1.0"?><a/>'), /an XML document/],
    ['a web page', bytes('<!DOCTYPE html><svg ></svg>'), /a web page/],
    ['a PDF', bytes('%PDF-1.7\n'), /a PDF document/],
    ['PostScript', bytes('%!PS-Adobe-3.0'), /a PostScript document/],
    ['Photoshop', bytes('8BPS\0\x01'), /a Photoshop document/],
    ['HEIC', bytes('\0\0\0\x18ftypheic\0\0\0\0mif1heic'), /a HEIC image/],
    ['a video', bytes('\0\0\0\x18ftypisom\0\0\0\0isommp42'), /a video/],
    ['JPEG XL', bytes('\xff\x0a\0\0'), /a JPEG XL image/],
    ['a raw photograph', bytes('II*\0\x10\0\0\0CR\x02\0'), /a camera's raw file/],
    ['an archive', bytes('PK\x03\x04'), /an archive/],
    ['text', bytes('This is no image.'), /it is text/],
    ['anything else', bytes('\x05\x06\x07'), /its format is unknown/],
  ]
  for (const [what, content, message] of refused) {
    it(`is refused if it is ${what}`, async () => {
      await assert.rejects(decode(content), { code: 'ERR_IMAGE_DECODE', message })
    })
  }
})

describe('a small file that requires much work', () => {
  const chunk = (type: string, data: Buffer) => {
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    const body = Buffer.concat([bytes(type), data])
    sum.writeUInt32BE(crc32(body))
    return Buffer.concat([length, body, sum])
  }
  function png(width: number, height: number, ...more: Buffer[]): Buffer {
    const header = Buffer.alloc(13)
    header.writeUInt32BE(width, 0)
    header.writeUInt32BE(height, 4)
    header.set([8, 0, 0, 0, 0], 8) // 8 bits of gray
    const pixels = deflateSync(Buffer.alloc(Math.min(1e6, (width + 1) * height)))
    const chunks = [chunk('IHDR', header), ...more, chunk('IDAT', pixels), chunk('IEND', Buffer.alloc(0))]
    return Buffer.concat([bytes('\x89PNG\r\n\x1a\n'), ...chunks])
  }

  it('with texts that unpack to gigabytes is decoded without unpacking them', async () => {
    const text = chunk('zTXt', Buffer.concat([bytes('Comment\0\0'), deflateSync(Buffer.alloc(7e6, 97))]))
    const file = png(4, 4, ...Array(100).fill(text))
    const before = process.resourceUsage().maxRSS
    assert.equal((await decode(file)).width, 4)
    const megabytes = (process.resourceUsage().maxRSS - before) / 1024
    assert.ok(megabytes < 64, `${megabytes} MB more`)
  })

  it('with a line of millions of pixels is refused', async () => {
    const message = /2000000 x 80 pixels, more than 262,144 along a side/
    await assert.rejects(decode(png(2e6, 80)), { code: 'ERR_IMAGE_DECODE', message })
  })

  it('is refused if it is a TIFF whose pixels are missing', async () => {
    const tiff = await sharp({ create: { width: 50, height: 40, channels: 3, background: 'red' } })
      .tiff({ compression: 'none' })
      .toBuffer()
    assert.equal((await decode(tiff)).width, 50)
    const tag = tiff.readUInt32LE(4) + 2 // the first is the width
    assert.equal(tiff.readUInt16LE(tag), 256)
    tiff.writeUInt16LE(9000, tag + 8)
    await assert.rejects(decode(tiff), { code: 'ERR_IMAGE_DECODE', message: /premature end/ })
  })
})
