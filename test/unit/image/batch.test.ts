import assert from 'node:assert/strict'
import { batchImages } from '../../../lib/image/batch-images.js'
import { DEFAULT_PREPROCESSING } from '../../../lib/image/preprocessing.js'
import { type NativeTransform, native, type Pixels } from '../../../lib/native/native.js'

const { mean, std } = DEFAULT_PREPROCESSING
const pixels = (width: number, height: number): Pixels => ({
  data: Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 31) % 256),
  width,
  height,
  channels: 3,
})
const invalid = (message: RegExp) => ({ name: 'VisionTorchError', code: 'ERR_INVALID_ARGUMENT', message })

describe('an ImageBatch', () => {
  it('has the requested size', () => {
    const batch = new (native().ImageBatch)(4, 8, 6, mean, std)
    assert.deepEqual([batch.capacity, batch.height, batch.width], [4, 8, 6])
  })

  it('accepts many images at once', async () => {
    const batch = new (native().ImageBatch)(16, 6, 8, mean, std)
    await Promise.all(Array.from({ length: 16 }, (_, i) => batch.set(i, pixels(8, 6), [])))
  })

  it('refuses another place, another size and other pixels', async () => {
    const batch = new (native().ImageBatch)(2, 6, 8, mean, std)
    await assert.rejects(
      batch.set(2, pixels(8, 6), []),
      invalid(/index: expected an integer from 0 to 1, got 2/),
    )
    await assert.rejects(
      batch.set(0, pixels(6, 8), []),
      invalid(/expected an image of the batch's size, 8x6, got 6x8/),
    )
    assert.throws(() => batch.set(0, { ...pixels(8, 6), width: 9 }, []), invalid(/pixels\.data/))
    assert.throws(() => batch.set(0, null as never, []), invalid(/pixels/))
  })

  it('accepts values, row by row, for any number of images', () => {
    const batch = new (native().ImageBatch)(2, 4, 4, mean, std)
    batch.setTensor(new Float32Array(48))
    batch.setTensor(new Float32Array(96))
    assert.throws(
      () => batch.setTensor(new Float32Array(47)),
      invalid(/expected N x 3 x 4 x 4 with N up to 2, got 47/),
    )
    assert.throws(() => batch.setTensor(new Float32Array(144)), invalid(/got 144/))
    assert.throws(() => batch.setTensor([] as never), invalid(/Float32Array/))
  })

  it('returns its values', () => {
    const batch = new (native().ImageBatch)(2, 4, 4, mean, std)
    const values = Float32Array.from({ length: 96 }, (_, i) => i / 7)
    batch.setTensor(values)
    assert.deepEqual(batch.getTensor(2), values)
    assert.deepEqual(batch.getTensor(1), values.slice(0, 48))
    assert.throws(() => batch.getTensor(3), invalid(/count: expected an integer from 1 to 2, got 3/))
  })

  it('returns the bytes that were set', async () => {
    const batch = new (native().ImageBatch)(2, 6, 8, mean, std)
    await batch.set(0, pixels(8, 6), [])
    await batch.set(1, pixels(8, 6), [{ op: 'verticalFlip' }])
    const [plain, flipped] = batchImages(batch, 2, { mean, std })
    assert.deepEqual(plain, { data: pixels(8, 6).data, width: 8, height: 6 })
    assert.deepEqual(flipped!.data.slice(-24), pixels(8, 6).data.slice(0, 24))
  })

  it('refuses to mix with arguments out of range', async () => {
    const batch = new (native().ImageBatch)(2, 4, 4, mean, std)
    await assert.rejects(batch.mix(3, 0.5, null), invalid(/count: expected an integer from 1 to 2/))
    await assert.rejects(batch.mix(2, 0.5, [2, 0, 3, 1]), invalid(/box: expected a part of the batch's 4x4/))
    assert.throws(() => batch.mix(2, 1.5, null), invalid(/weight/))
  })

  it('refuses invalid sizes', () => {
    const { ImageBatch } = native()
    assert.throws(() => new ImageBatch(0, 4, 4, mean, std), invalid(/capacity/))
    assert.throws(() => new ImageBatch(1, 4, -4, mean, std), invalid(/width/))
    assert.throws(() => new ImageBatch(1, 4, 4, [0, 0, NaN], std), invalid(/mean/))
  })
})

describe('a transform', () => {
  const run = async (transform: NativeTransform) => native().transformPixels(pixels(8, 6), transform)
  const whole = { from: [0, 0, 8, 6], size: [4, 4], crop: [0, 0, 4, 4], filter: 'bilinear' } as const

  it('without operations returns the same pixels', async () => {
    const { data, width, height } = await run([])
    assert.deepEqual([width, height], [8, 6])
    assert.deepEqual(data, pixels(8, 6).data)
  })

  it('flips', async () => {
    const { data } = await run([{ op: 'horizontalFlip' }, { op: 'verticalFlip' }])
    assert.deepEqual(data.slice(0, 3), pixels(8, 6).data.slice(-3))
  })

  it('that extends beyond the image is refused', async () => {
    await assert.rejects(
      run([{ op: 'resize', ...whole, from: [0, 0, 9, 6] }]),
      invalid(/'from' extends beyond/),
    )
    await assert.rejects(
      run([{ op: 'resize', ...whole, crop: [1, 0, 4, 4] }]),
      invalid(/'crop' extends beyond/),
    )
    await assert.rejects(run([{ op: 'resize', ...whole, size: [0, 4] }]), invalid(/'crop' extends beyond/))
    await assert.rejects(
      run([{ op: 'pad', size: [8, 8], at: [1, 0], fill: [0, 0, 0] }]),
      invalid(/does not fit/),
    )
  })

  it('that is malformed is refused', async () => {
    await assert.rejects(run([{ op: 'hue', amount: 2 }]), invalid(/hue: expected an amount from -0.5 to 0.5/))
    await assert.rejects(run([{ op: 'posterize', amount: 9 }]), invalid(/0 to 8 bits/))
    await assert.rejects(
      run([{ op: 'erase', box: [0, 0, 9, 1], fill: [0, 0, 0] }]),
      invalid(/'box' extends beyond/),
    )
    await assert.rejects(run([{ op: 'brightness' } as never]), invalid(/'amount': expected a number/))
    await assert.rejects(run([{ op: 'blur' } as never]), invalid(/unknown operation 'blur'/))
    await assert.rejects(run([{ op: 'resize', ...whole, size: [4, NaN] }]), invalid(/'size'/))
    await assert.rejects(
      run([{ op: 'resize', ...whole, filter: 'cubic' as never }]),
      invalid(/bilinear or bicubic/),
    )
    await assert.rejects(run([null as never]), invalid(/array of operations/))
    await assert.rejects(run(5 as never), invalid(/array of operations/))
  })
})
