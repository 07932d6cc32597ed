import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CheckpointValue,
  convertCheckpoint,
  createModel,
  evaluate,
  loadModel,
  type Model,
  readCheckpoint,
  type TensorData,
  train,
  writeCheckpoint,
} from '../../../lib/index.js'
import { noiseOf } from '../../../lib/model/quantize.js'
import { native } from '../../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { skip } from '../../support/skip.js'
import { onOneThread, smallNetwork } from '../../support/small-network.js'

type Dict = Map<CheckpointValue, CheckpointValue>

describe('a quantised model', function () {
  this.timeout(300_000)
  onOneThread()
  let folder: string
  let photos: string
  let model: Model
  let quantized: Model
  const file = (name: string) => join(folder, name)
  before(async () => {
    folder = await temporaryFolder()
    photos = file('photos')
    await drawPhotos(photos, { train: 20, val: 20 })
    model = await smallNetwork({ device: 'cpu' })
    model.preprocessing = { ...model.preprocessing, resize: 36, crop: 32 }
    await train(model, {
      data: photos,
      directory: file('run'),
      epochs: 12,
      batchSize: 12,
      inputSize: 32,
      optimizer: 'adam',
      learningRate: 0.01,
      augmentation: 'none',
      report: false,
    })
    quantized = await model.quantize(photos)
    await model.save(file('float.pth'))
    await quantized.save(file('int8.pth'))
  })
  after(() => {
    model.dispose()
    quantized.dispose()
    return removeTemporaryFolders()
  })

  it('computes in int8 all layers but the last', () => {
    assert.equal(quantized.dtype, 'int8')
    const { int8, float } = quantized.quantization!
    assert.ok(int8.length > 5)
    assert.equal(int8[0], 'features.0.0')
    assert.equal(float.at(-1), 'classifier.1')
    assert.equal(model.quantization, null)
    assert.equal(model.dtype, 'float32')
  })

  it('is as accurate as the model in float32', async () => {
    const [before, after] = [await evaluate(model, photos), await evaluate(quantized, photos)]
    assert.ok(before.top1 > 0.9, `${before.top1}`)
    assert.ok(after.top1 >= before.top1 - 0.02, `${after.top1}`) // one of 60 images
    assert.ok(Math.abs(after.loss - before.loss) < 0.02, `${after.loss}, ${before.loss}`)
  })

  it('is judged by each image alike, even if the logits of one are much larger', () => {
    const exact = [Float32Array.of(1, -1, 1000, -1000), Float32Array.of(3, 1)]
    const rows = [Float32Array.of(1, 1, 1000, -1000), Float32Array.of(3, 1)]
    assert.equal(noiseOf(rows, exact, 2), 2 / 3) // 4 / 2 for the first of three
  })

  it('computes the same from the bytes of images as from floats', async function () {
    using small = await loadModel(file('int8.pth'), { device: 'cpu' })
    if (small.network.inputBytes === null) skip(this, 'this processor has no kernels for bytes')
    const [floats, bytes] = [small.createBatch(5), small.createImageBatch(5)]
    for (const batch of [floats, bytes])
      for (let i = 0; i < 5; i++) {
        const data = Uint8Array.from({ length: 32 * 32 * 3 }, (_, at) => (at * (31 + 2 * i)) % 256)
        await batch.set(i, { data, width: 32, height: 32, channels: 3 }, [])
      }
    for (const count of [1, 4, 5])
      assert.deepEqual(
        await small.network.forward(bytes, count, 'logits'),
        await small.network.forward(floats, count, 'logits'),
      )
    const wantsFloats = { code: 'ERR_INVALID_ARGUMENT', message: /expected one in float32/ }
    assert.throws(() => bytes.setTensor(new Float32Array(3 * 32 * 32)), wantsFloats)
    assert.throws(() => bytes.getTensor(1), wantsFloats)
    await assert.rejects(bytes.mix(2, 0.5, null), wantsFloats)
    const calibrator = await native().createCalibrator(model.network, 'mse')
    await assert.rejects(calibrator.observe(bytes, 1), wantsFloats)

    // As after a change of the type while a batch is being filled.
    await small.to('cpu', 'float32')
    assert.equal(small.network.inputBytes, null)
    const [got, expected] = [
      await small.network.forward(bytes, 5, 'logits'),
      await small.network.forward(floats, 5, 'logits'),
    ]
    for (const [i, value] of expected.entries())
      assert.ok(Math.abs(got[i]! - value) < 0.1, `${got[i]}, ${value}`)
  })

  it('reads floats if its first layer is in floating point', async () => {
    using kept = await model.quantize(photos, { keep: ['features.0'] })
    assert.equal(kept.network.inputBytes, null)
    assert.equal(model.network.inputBytes, null)
  })

  it('keeps a layer in floating point whose error is small beside its output, but changes the logits', async () => {
    const content = (await readCheckpoint(file('float.pth'))) as Dict
    const weights = content.get('state_dict') as Map<string, TensorData>
    const values = (name: string) => weights.get(name)!.data as Float32Array
    // One channel is a thousand times as large as the others, and all later layers ignore it.
    values('features.1.conv.2.weight')[0]! *= 1000
    const [expansion, channels] = [values('features.2.conv.0.0.weight'), 16]
    for (let i = 0; i < expansion.length; i++) if (i < channels || i % channels === 0) expansion[i] = 0
    expansion[0] = 1
    values('features.2.conv.1.0.weight').fill(0, 0, 9)
    await writeCheckpoint(file('uneven.pth'), content)
    using uneven = await loadModel(file('uneven.pth'), { device: 'cpu' })
    const seen: number[] = []
    using result = await uneven.quantize(photos, { onProgress: ({ done, total }) => seen.push(done / total) })
    assert.deepEqual(result.quantization!.float, ['features.2.conv.0.0', 'classifier.1'])
    assert.equal(seen.at(-1), 1)
  })

  it('is loaded from its checkpoint as it was saved', async () => {
    using loaded = await loadModel(file('int8.pth'), { device: 'cpu' })
    assert.equal(loaded.dtype, 'int8')
    assert.deepEqual(loaded.quantization, quantized.quantization)
    assert.deepEqual(await loaded.stateDict(), await quantized.stateDict())
    const image = join(photos, 'val/rows/0.png')
    assert.deepEqual(await loaded.predict(image), await quantized.predict(image))
    assert.deepEqual(await loaded.features(image), await quantized.features(image))
  })

  it('computes in float32 on request, with the rounded weights', async () => {
    using loaded = await loadModel(file('int8.pth'), { device: 'cpu', dtype: 'float32' })
    assert.equal(loaded.dtype, 'float32')
    const { loss } = await evaluate(loaded, photos)
    assert.ok(Math.abs(loss - (await evaluate(model, photos)).loss) < 0.02)
    await loaded.to('cpu', 'int8')
    assert.equal(loaded.dtype, 'int8')
  })

  it('takes about a quarter of the space for each quantised layer', async () => {
    using all = await model.quantize(photos, { keep: 'none', samples: 4 })
    await all.save(file('all.pth'))
    const content = (await readCheckpoint(file('all.pth'))) as Dict
    const weights = content.get('state_dict') as Map<string, TensorData>
    for (const name of all.quantization!.int8) {
      const { dtype, data } = weights.get(`${name}.weight`)!
      assert.equal(dtype, 'int8')
      assert.ok((data as Int8Array).every(value => value >= -127))
    }
    const [small, large] = [await stat(file('all.pth')), await stat(file('float.pth'))]
    assert.ok(small.size < large.size / 2, `${small.size} of ${large.size}`) // it has many norms and few weights
  })

  for (const method of ['minmax', 'percentile', 'mse'] as const) {
    it(`can be calibrated by ${method}, with images of any kind, while it tells its progress`, async () => {
      const images = [0, 1, 2].map(i => join(photos, `train/rows/${i}.png`))
      const seen: number[] = []
      using result = await model.quantize(images, {
        method,
        keep: ['features.1', 'classifier'],
        onProgress: ({ done, total }) => seen.push(done / total),
      })
      assert.equal(seen.at(-1), 1)
      assert.deepEqual(result.quantization!.float, [
        'features.1.conv.0.0',
        'features.1.conv.1',
        'classifier.1',
      ])
    })
  }

  it('is not made if the signal is aborted', async () => {
    const controller = new AbortController()
    const quantizing = model.quantize(photos, {
      signal: controller.signal,
      onProgress: () => controller.abort(new Error('enough')),
    })
    await assert.rejects(quantizing, /enough/)
  })

  it('cannot be trained, changed or quantised again, and the errors say how to go on', async () => {
    const refused = { code: 'ERR_INVALID_ARGUMENT' }
    const training = train(quantized, { data: photos, epochs: 1, directory: file('run') })
    await assert.rejects(Promise.resolve(training), {
      ...refused,
      message: /quantised.*Load the float checkpoint that it was made from, .* and quantise the result/,
    })
    await assert.rejects(quantized.quantize(photos), { ...refused, message: /cannot be quantised/ })
    await assert.rejects(quantized.replaceClassifier(3), { ...refused, message: /a new classifier/ })
    await assert.rejects(quantized.loadStateDict(file('float.pth')), refused)
    await assert.rejects(quantized.save(file('x.safetensors'), { format: 'safetensors' }), refused)
    await assert.rejects(model.loadStateDict(file('int8.pth')), { code: 'ERR_CHECKPOINT_MISMATCH' })
    await assert.rejects(
      createModel('mobilenet_v2', { weights: file('int8.pth'), classes: ['a', 'b'] }),
      /start from the float checkpoint/,
    )
  })

  it('keeps its integers when its checkpoint is converted', async () => {
    await convertCheckpoint(file('int8.pth'), file('legacy.pth'), { container: 'legacy' })
    using converted = await loadModel(file('legacy.pth'), { device: 'cpu' })
    assert.deepEqual(converted.quantization, quantized.quantization)
    await assert.rejects(convertCheckpoint(file('int8.pth'), file('x.safetensors')), /container: .*quantised/)
  })

  it('is needed for the type int8', async () => {
    const message = /not quantised.*model\.quantize\(\), or visiontorch quantize/
    await assert.rejects(loadModel(file('float.pth'), { dtype: 'int8' }), { message })
    await assert.rejects(model.to('cpu', 'int8'), { code: 'ERR_INVALID_ARGUMENT' })
    assert.equal(model.dtype, 'float32')
  })

  it('refuses unknown layers, and to keep all layers', async () => {
    await assert.rejects(model.quantize(photos, { keep: ['conv9'] }), /got 'conv9'\. The layers are features/)
    await assert.rejects(model.quantize(photos, { keep: ['features', 'classifier'] }), /nothing would be/)
    await assert.rejects(model.quantize([]), /at least one image/)
  })

  describe('in a damaged file', () => {
    const layer = 'features.1.conv.0.0'
    const tensor = (dtype: string, shape: number[], data: unknown) => ({ dtype, shape, data }) as TensorData
    const scale = (value: number) => tensor('float32', [], Float32Array.of(value))
    const cases: [what: string, change: (scales: Dict, weights: Dict) => unknown, message: RegExp][] = [
      ['a scale of zero', scales => scales.set(`${layer}.input_scale`, scale(0)), /input_scale.*positive/],
      ['a scale of NaN', scales => scales.set(`${layer}.input_scale`, scale(Number.NaN)), /finite/],
      ['a scale without a reciprocal', scales => scales.set(`${layer}.input_scale`, scale(1e-42)), /finite/],
      [
        'a zero point that is not a byte',
        scales => scales.set(`${layer}.input_zero_point`, tensor('int64', [], BigInt64Array.of(300n))),
        /zero_point: expected uint8 of shape \[\], got int64/,
      ],
      [
        'scales for another number of channels',
        scales => scales.set(`${layer}.weight_scale`, tensor('float32', [1], Float32Array.of(1))),
        /weight_scale: expected float32 of shape \[\d+\], got float32 of shape \[1\]/,
      ],
      ['no scale', scales => scales.delete(`${layer}.weight_scale`), /expected .*weight_scale, got nothing/],
      ['a scale for no layer', scales => scales.set('x.input_scale', scale(1)), /no layer .* x\.input_scale/],
      ['a newer version', scales => scales.set('version', 2), /version 2, expected 1\. Update visiontorch/],
      [
        'a weight of -128',
        (_, weights) => (weights.get(`${layer}.weight`) as { data: Int8Array }).data.fill(-128),
        /weight: expected integers from -127 to 127/,
      ],
      [
        'a norm that was not folded',
        (_, weights) =>
          (weights.get('features.1.conv.0.1.running_mean') as { data: Float32Array }).data.fill(1),
        /the batch norm after features\.1\.conv\.0\.0/,
      ],
      [
        'integers of another layer',
        (_, weights) => {
          const bias = weights.get('classifier.1.bias') as { dtype: string; shape: number[] }
          weights.set('classifier.1.bias', tensor('int8', bias.shape, new Int8Array(bias.shape[0]!)))
        },
        /classifier\.1\.bias: expected floating-point numbers/,
      ],
    ]
    for (const [what, change, message] of cases) {
      it(`${what} is refused, with the file's name`, async () => {
        const content = (await readCheckpoint(file('int8.pth'))) as Dict
        change(content.get('quantization') as Dict, content.get('state_dict') as Dict)
        await writeCheckpoint(file('damaged.pth'), content)
        await assert.rejects(loadModel(file('damaged.pth'), { device: 'cpu' }), error => {
          assert.equal((error as { code?: string }).code, 'ERR_CHECKPOINT_MISMATCH')
          assert.match((error as Error).message, message)
          assert.match((error as Error).message, /damaged\.pth/)
          return true
        })
      })
    }

    it('no scales at all is refused', async () => {
      const content = (await readCheckpoint(file('int8.pth'))) as Dict
      content.delete('quantization')
      await writeCheckpoint(file('damaged.pth'), content)
      await assert.rejects(loadModel(file('damaged.pth')), /expected the scales of its layers/)
    })
  })
})
