import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { create, fromBinary, ModelProtoSchema, toBinary } from '../../../lib/export/libraries.js'
import { StringStringEntryProtoSchema } from '../../../lib/export/proto/onnx_pb.js'
import { readScales } from '../../../lib/export/scales.js'
import type { Model } from '../../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { onOneThread } from '../../support/small-network.js'
import { tinyModel } from '../../support/tiny-model.js'

describe('the scales of an ONNX file', function () {
  this.timeout(30_000)
  onOneThread()
  const images = [0, 1, 2, 3].map(k => ({
    data: Uint8Array.from({ length: 36 * 36 * 3 }, (_, i) => 128 + 90 * Math.sin((i * (k + 3)) / 50)),
    ...{ width: 36, height: 36, channels: 3 as const },
  }))
  let folder: string
  let model: Model
  let quantized: Model
  const file = (name: string) => join(folder, name)
  before(async () => {
    folder = await temporaryFolder()
    model = await tinyModel({ seed: 1 })
    quantized = await model.quantize(images, { keep: ['features.0.0'] })
    await quantized.export(file('int8.onnx'), { allowUntrained: true })
  })
  after(() => {
    model.dispose()
    quantized.dispose()
    return removeTemporaryFolders()
  })

  it('give the same quantised model again', async () => {
    using again = await model.quantize(images, { scales: file('int8.onnx') })
    assert.deepEqual(again.quantization, quantized.quantization)
    assert.deepEqual(await again.stateDict(), await quantized.stateDict())
    const options = { allowUntrained: true }
    assert.deepEqual(await again.predict(images[0]!, options), await quantized.predict(images[0]!, options))
  })

  it('are read from the file of the tensors, and with preprocessing in the file', async () => {
    const options = { allowUntrained: true, externalData: true, includePreprocessing: true }
    await quantized.export(file('two.onnx'), options)
    assert.deepEqual(await readScales(file('two.onnx')), await readScales(file('int8.onnx')))
  })

  it('do not go with options of the calibration', async () => {
    for (const [name, value] of Object.entries({ method: 'mse', samples: 2, keep: 'none' }))
      await assert.rejects(model.quantize(images, { scales: file('int8.onnx'), [name]: value }), {
        code: 'ERR_INVALID_ARGUMENT',
        message: new RegExp(`${name}: expected none with scales`),
      })
  })

  it('are those of this network and these weights', async () => {
    using other = await tinyModel({ seed: 2 })
    const scales = file('int8.onnx')
    await assert.rejects(other.quantize(images, { scales }), {
      code: 'ERR_CHECKPOINT_MISMATCH',
      message: /int8\.onnx: the scales of features\.1\.conv\.0\.0 were computed from other weights/,
    })
    using wider = await tinyModel({ seed: 1, widthMult: 1 })
    await assert.rejects(
      wider.quantize(images, { scales }),
      /expected \d+ scales .*features\.1\.conv\.\S+, got \d+/,
    )
    using shallow = await tinyModel({ seed: 1, invertedResidualSetting: [[1, 16, 1, 1]] })
    await assert.rejects(shallow.quantize(images, { scales }), /this network has no layer features\.2\.conv/)
  })

  it('are in files of quantised networks only', async () => {
    await assert.rejects(readScales(file('missing.onnx')), { code: 'ERR_FILE_NOT_FOUND' })
    await assert.rejects(readScales(folder), { code: 'ERR_FILE_READ' })
    await writeFile(file('text.onnx'), 'no protobuf message')
    await assert.rejects(readScales(file('text.onnx')), { code: 'ERR_CHECKPOINT_CORRUPT' })
    await writeFile(file('empty.onnx'), '')
    await assert.rejects(readScales(file('empty.onnx')), { code: 'ERR_CHECKPOINT_CORRUPT' })
    await model.export(file('float.onnx'), { allowUntrained: true })
    await assert.rejects(readScales(file('float.onnx')), {
      code: 'ERR_CHECKPOINT_MISMATCH',
      message: /float\.onnx: found no quantised layer/,
    })
  })

  describe('in a damaged file', () => {
    const layer = 'features.1.conv.0.0'
    type Tensor = ReturnType<typeof tensorsOf>[number]
    const tensorsOf = (bytes: Uint8Array) => fromBinary(ModelProtoSchema, bytes).graph!.initializer
    const external = (location: string, length: string) => (tensor: Tensor) =>
      Object.assign(tensor, {
        dataLocation: 1,
        externalData: Object.entries({ location, length }).map(([key, value]) =>
          create(StringStringEntryProtoSchema, { key, value }),
        ),
      })
    const scale = (value: number) => (tensor: Tensor) =>
      Object.assign(tensor, { rawData: new Uint8Array(Float32Array.of(value).buffer) })
    const cases: [what: string, name: string, change: (tensor: Tensor) => unknown, message: RegExp][] = [
      ['a scale of zero', 'input_scale', scale(0), /positive and finite/],
      ['a scale of NaN', 'input_scale', scale(Number.NaN), /positive and finite/],
      ['a scale without a reciprocal', 'input_scale', scale(1e-42), /positive and finite/],
      [
        'no scale',
        'input_scale',
        tensor => Object.assign(tensor, { rawData: new Uint8Array() }),
        /in float32/,
      ],
      [
        'half a number',
        'weight_scale',
        tensor => Object.assign(tensor, { rawData: new Uint8Array(3) }),
        /in float32/,
      ],
      [
        'a zero point of 16 bits',
        'input_zero_point',
        tensor => Object.assign(tensor, { dataType: 4 }),
        /zero points in 8 bits/,
      ],
      [
        'asymmetric weights',
        'weight_zero_point',
        tensor => tensor.rawData.fill(3),
        /weights in int8 with the zero point 0/,
      ],
      ['a tensor outside the folder', 'weight_scale', external('../x', '4'), /in a file next to it/],
      ['a tensor of an absurd size', 'weight_scale', external('x', '99999999999'), /in a file next to it/],
      ['a tensor in a file that is missing', 'weight_scale', external('x', '4'), /no such file/],
    ]
    for (const [what, name, change, message] of cases)
      it(`${what} is refused`, async () => {
        const content = fromBinary(ModelProtoSchema, await readFile(file('int8.onnx')))
        change(content.graph!.initializer.find(tensor => tensor.name === `${layer}.${name}`)!)
        await writeFile(file('damaged.onnx'), toBinary(ModelProtoSchema, content))
        await assert.rejects(readScales(file('damaged.onnx')), error => {
          assert.match(
            (error as { code: string }).code,
            /^ERR_(CHECKPOINT_(UNSUPPORTED|CORRUPT)|FILE_NOT_FOUND)$/,
          )
          assert.match((error as Error).message, message)
          return true
        })
      })
  })
})
