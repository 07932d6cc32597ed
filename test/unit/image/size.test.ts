import assert from 'node:assert/strict'
import { checkPreprocessing, cropTo, DEFAULT_PREPROCESSING } from '../../../lib/image/preprocessing.js'
import { checkInputSize, parseInputSize } from '../../../lib/image/size.js'
import { sizeOption } from '../../../lib/model/architectures.js'

describe('the size of the input', () => {
  it('is a number or a height and a width', () => {
    assert.equal(checkInputSize('inputSize', 64, 32, 4096), 64)
    assert.deepEqual(checkInputSize('inputSize', [64, 96], 32, 4096), [64, 96])
    for (const wrong of [31, 64.5, '64', [64], [64, 96, 3], null])
      assert.throws(() => checkInputSize('inputSize', wrong, 32, 4096), {
        code: 'ERR_INVALID_ARGUMENT',
        message: /^inputSize: expected an integer from 32 to 4096, or two: \[height, width\], got /,
      })
    assert.throws(
      () => checkInputSize('inputSize', [64, 31], 32, 4096),
      /^\w+: inputSize\[1\]: expected|^inputSize\[1\]: expected/,
    )
  })

  it('is HxW on the command line', () => {
    assert.equal(parseInputSize('64'), 64)
    assert.deepEqual(parseInputSize('64x96'), [64, 96])
    for (const wrong of ['64x', 'x96', '64x96x3', '64,96', 'wide']) assert.equal(parseInputSize(wrong), wrong)
  })

  it('must be covered by the resized image', () => {
    const check = (crop: unknown, resize: unknown) => checkPreprocessing('p', { crop, resize })
    assert.deepEqual(check([64, 64], 70).crop, 64)
    assert.deepEqual(check([64, 96], [64, 100]).resize, [64, 100])
    assert.throws(() => check([64, 96], 95), /p\.resize: expected an integer from 96/)
    assert.throws(() => check([64, 96], [63, 96]), /p\.resize\[0\]: expected an integer from 64/)
    assert.throws(() => check([64, 96], [64, 95]), /p\.resize\[1\]: expected an integer from 96/)
  })

  it('changes the size of the resized image with it', () => {
    const { resize, crop } = cropTo(DEFAULT_PREPROCESSING, [112, 448])
    assert.deepEqual(
      [resize, crop],
      [
        [128, 512],
        [112, 448],
      ],
    )
    const back = cropTo({ ...DEFAULT_PREPROCESSING, resize, crop }, 224)
    assert.deepEqual([back.resize, back.crop], [[256, 256], 224])
    assert.equal(cropTo(DEFAULT_PREPROCESSING, [112, 112]).resize, 128)
    assert.deepEqual(cropTo({ ...back, resize: 300, crop: [64, 96] }, [64, 96]).resize, 300)
  })

  it('is refused by networks that take squares only', () => {
    assert.deepEqual(sizeOption('vit_b_16', [64, 64]), { imageSize: 64 })
    assert.deepEqual(sizeOption('swin_t', [64, 96]), {})
    for (const network of ['vit_b_16', 'maxvit_t'] as const)
      assert.throws(() => sizeOption(network, [64, 96]), {
        code: 'ERR_INVALID_ARGUMENT',
        message: `inputSize: ${network} takes only square images, got 64 x 96 (height x width)`,
      })
  })
})
