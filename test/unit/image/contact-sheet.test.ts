import assert from 'node:assert/strict'
import sharp from 'sharp'
import { contactSheet } from '../../../lib/image/contact-sheet.js'

const image = (shade: number, label: string, width = 40, height = 30) => ({
  data: new Uint8Array(width * height * 3).fill(shade),
  width,
  height,
  label,
})

describe('a contact sheet', () => {
  const pixels = async (png: Buffer) => {
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true })
    return { ...info, at: (x: number, y: number) => data[(y * info.width + x) * info.channels]! }
  }

  it('is a PNG with about as many rows as columns, and the pictures in order', async () => {
    const sheet = await contactSheet([0, 50, 100, 150, 200].map(shade => image(shade, `${shade}`)))
    assert.equal((await sharp(sheet).metadata()).format, 'png')
    const { width, height, at } = await pixels(sheet)
    assert.deepEqual([width, height], [8 + 3 * 48, 8 + 2 * 58])
    assert.deepEqual([at(20, 20), at(68, 20), at(116, 20), at(20, 80), at(68, 80)], [0, 50, 100, 150, 200])
    assert.equal(at(116, 80), 255)
  })

  it('accepts pictures of different sizes, and a number of columns', async () => {
    const sheet = await contactSheet([image(9, 'a', 60, 20), image(9, 'b', 10, 50)], { columns: 1 })
    const { width, height } = await pixels(sheet)
    assert.deepEqual([width, height], [8 + 68, 8 + 2 * 78])
  })

  it('writes labels of any characters and length', async () => {
    const label = `<b>&"it's" \u0000\u001b[31m 日本語 😀 ${'long '.repeat(40)}`
    const { width, height, at } = await pixels(await contactSheet([image(255, label, 100, 30)]))
    const strip = Array.from({ length: 100 * 20 }, (_, i) => at(8 + (i % 100), 38 + Math.floor(i / 100)))
    assert.deepEqual([width, height], [116, 66])
    // If the machine has no fonts at all, no label can be drawn.
    if (Math.min(...strip) === 255) console.log('      no label was written: no fonts here')
  })

  it('without pictures is refused', async () => {
    await assert.rejects(contactSheet([]), /images: expected at least one image/)
    await assert.rejects(contactSheet([image(0, '')], { columns: 0 }), /options\.columns/)
  })
})
