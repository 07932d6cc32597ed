import assert from 'node:assert/strict'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import sharp from 'sharp'
import { decode } from '../../../lib/image/decode.js'
import {
  firstTiffImage,
  readAvifOrientation,
  readGifHeader,
  readJpegHeader,
  readTiffHeader,
  withoutTexts,
} from '../../../lib/image/header.js'
import { VisionTorchError } from '../../../lib/util/errors.js'

const FORMATS = ['jpeg', 'png', 'gif', 'tiff', 'webp', 'avif'] as const
/** Replacements of a byte, in addition to random ones: extremes of lengths, counts and flags. */
const BYTES = [0x00, 0x01, 0x7f, 0x80, 0xff]

describe('a damaged image', function () {
  this.timeout(60_000)
  const files = new Map<string, Buffer>()
  before(async () => {
    const pixels = sharp(Buffer.alloc(24 * 16 * 3, 120), { raw: { width: 24, height: 16, channels: 3 } })
    for (const format of FORMATS)
      files.set(format, await pixels.clone().withMetadata().toFormat(format).toBuffer())
  })

  /** Makes `count` copies of a format's file, each truncated or with a few bytes changed, mostly in the header. */
  function* damaged(format: string, count: number): Generator<Buffer> {
    const file = files.get(format)!
    const random = xoroshiro128plus(FORMATS.indexOf(format as (typeof FORMATS)[number]) + 1)
    const below = (limit: number) => uniformInt(random, 0, limit - 1)
    for (let i = 0; i < count; i++) {
      const copy = Buffer.from(file)
      for (let changes = 1 + below(4); changes > 0; changes--) {
        const at = below(below(4) > 0 ? Math.min(400, copy.length) : copy.length)
        copy[at] = below(2) > 0 ? BYTES[below(BYTES.length)]! : below(256)
      }
      yield below(5) > 0 ? copy : copy.subarray(0, below(copy.length))
    }
  }

  for (const format of FORMATS) {
    it(`never breaks the readers of headers: 5,000 of ${format}`, () => {
      for (const bytes of damaged(format, 5000)) {
        readJpegHeader(bytes)
        readGifHeader(bytes)
        firstTiffImage(bytes, readTiffHeader(bytes))
        readAvifOrientation(bytes)
        withoutTexts(bytes)
      }
    })

    it(`is decoded, or refused with a VisionTorchError: 200 of ${format}`, async () => {
      for (const bytes of damaged(format, 200)) {
        const result = await decode(bytes).catch((error: unknown) => error)
        if (result instanceof Error) assert.ok(result instanceof VisionTorchError, `${result.stack}`)
      }
    })
  }
})
