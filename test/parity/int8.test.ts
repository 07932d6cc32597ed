import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Architecture,
  type CheckpointValue,
  type CreateModelOptions,
  createModel,
  loadModel,
  type Model,
  readCheckpoint,
  type TensorData,
} from '../../lib/index.js'
import { native } from '../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

const SIZE = 64
const PIXELS = 3 * SIZE * SIZE

interface Reference {
  scales: Record<string, [scale: number, zeroPoint: number]>
  weights: string[]
  /** If the features are in two parts, a value is (first - second) / shrink; `second` is the index of the second part. */
  shrink: number
  second: number
  blocks: Record<string, { values: number[][]; step: number; layers: number }>
}

async function compute(
  model: Model,
  images: Float32Array,
  output: 'logits' | 'features',
): Promise<Float32Array> {
  const count = images.length / PIXELS
  const batch = new (native().ImageBatch)(count, SIZE, SIZE, [0, 0, 0], [1, 1, 1])
  batch.setTensor(images)
  return model.network.forward(batch, count, output)
}

/** The sum of squared differences as a share of that of the expected values. */
const noise = (got: ArrayLike<number>, expected: Float32Array) =>
  expected.reduce((sum, value, i) => sum + (got[i]! - value) ** 2, 0) /
  expected.reduce((sum, value) => sum + value ** 2, 0)

describe('quantised layers', function () {
  this.timeout(120_000)
  before(function () {
    if (!python) skip(this, NO_PYTHON)
    if (spawnSync(python, ['-c', 'import onnx, onnxruntime']).status !== 0)
      skip(this, 'the Python has no onnx and onnxruntime (npm run reference:python)')
  })
  after(removeTemporaryFolders)

  const settings = [
    [1, 16, 1, 1],
    [6, 16, 2, 2],
    [6, 24, 2, 2],
  ]
  const networks: [Architecture, CreateModelOptions, torchvision: object][] = [
    ['resnet18', {}, {}],
    ['mobilenet_v2', { invertedResidualSetting: settings }, { inverted_residual_setting: settings }],
  ]
  for (const [name, options, torchvision] of networks) {
    describe(`of ${name}`, () => {
      let folder: string
      let reference: Reference
      let images: Float32Array
      const photos = Array.from({ length: 4 }, (_, k) => ({
        data: Uint8Array.from(
          { length: PIXELS },
          (_, i) => 128 + 90 * Math.sin((i * (k + 3)) / 50) + ((i * 31) % 37),
        ),
        ...{ width: SIZE, height: SIZE, channels: 3 as const },
      }))
      before(async () => {
        folder = await temporaryFolder()
        using model = await createModel(name, { numClasses: 10, seed: 3, device: 'cpu', ...options })
        model.preprocessing = { ...model.preprocessing, resize: SIZE, crop: SIZE }
        await model.save(join(folder, 'float.pth'))
        await model.export(join(folder, 'float.onnx'), { opset: 17 })
        using quantized = await model.quantize(photos, { keep: 'none', method: 'minmax' })
        await quantized.save(join(folder, 'int8.pth'))
        await quantized.export(join(folder, 'int8.onnx'), { allowUntrained: true, opset: 17 })

        const { mean, std } = model.preprocessing
        const normalised = photos.flatMap(({ data }) =>
          Array.from({ length: PIXELS }, (_, i) => {
            const [channel, pixel] = [Math.floor(i / (SIZE * SIZE)), i % (SIZE * SIZE)]
            return (data[3 * pixel + channel]! / 255 - mean[channel]!) / std[channel]!
          }),
        )
        await writeFile(join(folder, 'calibration.f32'), new Uint8Array(Float32Array.from(normalised).buffer))
        images = Float32Array.from({ length: 3 * PIXELS }, (_, i) => Math.sin(i / 20) + Math.sin(i / 7))
        await writeFile(join(folder, 'images.f32'), new Uint8Array(images.buffer))
        const built = JSON.stringify({ num_classes: 10, ...torchvision })
        reference = JSON.parse(runReference('int8_layers.py', name, built, String(SIZE), folder))
      })

      it("have the scales and zero points that torch's observers compute, and torch's integers", async () => {
        const content = (await readCheckpoint(join(folder, 'int8.pth'))) as Map<
          CheckpointValue,
          CheckpointValue
        >
        const scales = content.get('quantization') as Map<string, TensorData>
        for (const [layer, [scale, zeroPoint]] of Object.entries(reference.scales)) {
          const [ours] = scales.get(`${layer}.input_scale`)!.data as Float32Array
          assert.ok(Math.abs(ours! / scale - 1) < 1e-5, `${layer}: ${ours}, ${scale}`)
          assert.deepEqual(
            [...(scales.get(`${layer}.input_zero_point`)!.data as Uint8Array)],
            [zeroPoint],
            layer,
          )
        }
        assert.deepEqual(reference.weights, [])
      })

      it('compute what ONNX Runtime does, to within one step of the bytes for each layer', async () => {
        for (const [block, { values, step, layers }] of Object.entries(reference.blocks)) {
          using model = await loadModel(join(folder, `${block}.pth`), { device: 'cpu' })
          const all = await compute(model, images, 'features')
          const width = all.length / values.length
          let [most, sum] = [0, 0]
          for (const [row, expected] of values.entries()) {
            for (const [i, value] of expected.entries()) {
              const at = row * width + i
              const { second, shrink } = reference
              const got = second === 0 ? all[at]! : (all[at]! - all[at + second]!) / shrink
              const distance = Math.abs(got - value) / step
              most = Math.max(most, distance)
              sum += distance
            }
          }
          const mean = sum / (values.length * values[0]!.length)
          assert.ok(most <= layers, `${block}: ${most} steps after ${layers} layers`)
          assert.ok(mean <= 0.5, `${block}: ${mean} steps on average`)
        }
      })

      it('take over the scales of a network that ONNX Runtime quantised', async () => {
        const computed = JSON.parse(runReference('quantize_static.py', String(SIZE), folder))
        using model = await loadModel(join(folder, 'float.pth'), { device: 'cpu' })
        const exact = await compute(model, images, 'logits')
        for (const inputs of ['uint8', 'int8']) {
          using quantized = await model.quantize(photos, { scales: join(folder, `${inputs}.onnx`) })
          assert.equal(quantized.quantization!.float.length, 0)
          const ours = await compute(quantized, images, 'logits')
          const [distance, theirs] = [noise(ours, exact), noise(computed[inputs], exact)]
          assert.ok(distance < 1.5 * theirs, `${distance}, and ${theirs} with ONNX Runtime`)
          // It also rounds what layers give.
          const apart = noise(ours, Float32Array.from(computed[inputs]))
          assert.ok(apart < distance + theirs, `${apart}`)
        }
      })
    })
  }
})
