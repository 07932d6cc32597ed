import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { decode, MAX_PIXELS } from '../../../lib/image/decode.js'
import { native } from '../../../lib/native/native.js'
import type { VisionTorchError } from '../../../lib/util/errors.js'

const width = 75
const height = 43
const noise = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * i * 31 + (i >> 5)) % 256)
const picture = () => sharp(noise, { raw: { width, height, channels: 3 } })
const decodeJpeg = (file: Uint8Array) => native().decodeBytes(file, MAX_PIXELS)
const decodeFile = (path: string) => native().decodeFile(path, MAX_PIXELS)

describe('the JPEG decoder', () => {
  const directory = mkdtempSync(join(tmpdir(), 'visiontorch-'))
  const path = join(directory, 'ä b.jpg')
  let jpeg: Buffer
  before(async () => {
    jpeg = await picture().jpeg().toBuffer()
    writeFileSync(path, jpeg)
  })
  after(() => rmSync(directory, { recursive: true }))

  it('returns the same RGB rows for a path as for its bytes', async () => {
    const fromBytes = await decodeJpeg(jpeg)
    assert.ok(fromBytes)
    assert.deepEqual([fromBytes.width, fromBytes.height, fromBytes.channels], [width, height, 3])
    assert.equal(fromBytes.data.length, width * height * 3)
    assert.deepEqual(await decodeFile(path), fromBytes)
    assert.deepEqual(await decode(path), fromBytes)
  })

  it('reads a part of a larger buffer', async () => {
    const larger = Buffer.concat([Buffer.alloc(13, 0xff), jpeg, Buffer.alloc(9)])
    assert.deepEqual(await decodeJpeg(larger.subarray(13, 13 + jpeg.length)), await decodeJpeg(jpeg))
  })

  it('keeps pixels as long as something refers to them', async () => {
    const expected = Buffer.from((await decodeJpeg(jpeg))!.data)
    const kept = await Promise.all(Array.from({ length: 50 }, () => decodeJpeg(jpeg)))
    for (let i = 0; i < 500; i++) await decodeJpeg(jpeg)
    for (const pixels of kept) assert.ok(expected.equals(pixels!.data))
  })

  it('frees the memory of unreachable pixels', async () => {
    const large = await sharp({ create: { width: 1000, height: 1000, channels: 3, background: 'red' } })
      .jpeg()
      .toBuffer()
    const before = process.memoryUsage.rss()
    for (let i = 0; i < 500; i++) assert.equal((await decodeJpeg(large))!.width, 1000) // 1.5 GB in all
    assert.ok(process.memoryUsage.rss() - before < 750e6, `${process.memoryUsage.rss() - before} bytes more`)
  })

  it('frees pixels at once on request, but no array that is a part of its buffer', async () => {
    const { data } = (await decodeJpeg(jpeg))!
    native().release(data)
    assert.equal(data.length, 0)
    const part = new Uint8Array(10).subarray(2)
    native().release(part)
    assert.equal(part.length, 8)
    assert.throws(() => native().release('text' as never), { code: 'ERR_INVALID_ARGUMENT' })
  })

  it('leaves other formats to sharp', async () => {
    for (const other of [await picture().png().toBuffer(), Buffer.from('text'), Buffer.alloc(0)])
      assert.equal(await decodeJpeg(other), null)
  })

  it('leaves unreadable files to sharp', async () => {
    const huge = join(directory, 'huge.jpg') // with a hole of 4 GiB, which takes no space on the disk
    writeFileSync(huge, jpeg)
    truncateSync(huge, 2 ** 32)
    for (const path of [join(directory, 'none.jpg'), directory, huge, '/dev/null', ''])
      assert.equal(await decodeFile(path), null)
  })

  it('refuses an image with too many pixels', async () => {
    assert.ok(await native().decodeBytes(jpeg, width * height))
    await assert.rejects(native().decodeBytes(jpeg, width * height - 1), {
      code: 'ERR_IMAGE_DECODE',
      message: 'it has 75 x 43 pixels, more than 3224 in all or 262144 along a side. Make it smaller first',
    })
  })

  it('refuses a file that is truncated at any byte', async () => {
    for (const progressive of [false, true]) {
      const whole = await picture().jpeg({ progressive }).toBuffer()
      const message = 'it is damaged (premature end of the file). Replace or remove the file'
      for (let length = 3; length < whole.length - 2; length += 7)
        await assert.rejects(decodeJpeg(whole.subarray(0, length)), { code: 'ERR_IMAGE_DECODE', message })
    }
  })

  it('survives damage at any byte', async () => {
    for (const progressive of [false, true]) {
      const whole = await picture().jpeg({ progressive }).toBuffer()
      for (let at = 2; at < whole.length; at += 3) {
        const damaged = Buffer.from(whole)
        damaged[at]! ^= 1 << (at % 8)
        try {
          const pixels = await native().decodeBytes(damaged, 1e6)
          if (pixels) assert.equal(pixels.data.length, pixels.width * pixels.height * 3)
        } catch (error) {
          assert.equal((error as VisionTorchError).code, 'ERR_IMAGE_DECODE', String(error))
        }
      }
    }
  })

  it('decodes dozens of scans, but not hundreds', async () => {
    const progressive = await picture().jpeg({ progressive: true }).toBuffer()
    // A scan that adds nothing: a Huffman table of one code, for a run of 16384 empty blocks, and that code.
    const table = [0xff, 0xc4, 0, 20, 0x10, 1, ...Array(15).fill(0), 0xe0]
    const scan = Buffer.from([...table, 0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0, 0, 1])
    const withScans = (count: number) =>
      Buffer.concat([progressive.subarray(0, -2), ...Array(count).fill(scan), progressive.subarray(-2)])
    assert.deepEqual(await decodeJpeg(withScans(50)), await decodeJpeg(progressive))
    await assert.rejects(decodeJpeg(withScans(500)), {
      code: 'ERR_IMAGE_DECODE',
      message: /with 5\d\d scans/,
    })
    // sharp decodes it for these.
    await assert.rejects(decode(withScans(500), { autoOrient: true }), { message: /with 5\d\d scans/ })
    assert.equal((await decode(withScans(50), { autoOrient: true })).width, width)
  })
})
