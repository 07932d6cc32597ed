import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { encodeOnnx } from '../../lib/export/onnx.js'
import { withPreprocessing } from '../../lib/export/preprocessing.js'
import { checkPreprocessing, INTERPOLATIONS, RESIZE_MODES } from '../../lib/image/preprocessing.js'
import { formatSize, type InputSize, toSize } from '../../lib/image/size.js'
import { evalTransform } from '../../lib/image/transform.js'
import type { Architecture } from '../../lib/model/architectures.js'
import { writeCheckpoint } from '../../lib/model/checkpoint.js'
import { createModel } from '../../lib/model/create-model.js'
import type { Model } from '../../lib/model/model.js'
import { native } from '../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { fixture } from '../support/networks.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'
import { tinyModel } from '../support/tiny-model.js'

interface Computed {
  opset: number
  inputs: Record<string, (number | string)[]>
  outputs: Record<string, (number | string)[]>
  metadata: Record<string, string>
  operations: string[]
  values: number[]
}

/** Sizes of images. 129 is not a multiple of a window or a patch, so Swin Transformer pads, and AlexNet pools unevenly. */
const sizesOf: Record<string, number> = { inception_v3: 299, vision_transformer: 224, maxvit: 224 }

/** Networks with blocks of their own, in addition to the smallest of each family. */
const others = ['efficientnet_v2_s', 'resnet50', 'swin_v2_t']

const networks = native()
  .families()
  .flatMap(({ name, architectures }) => {
    const parameters = (of: string) => fixture.structure[of]!.parameters
    const smallest = architectures.reduce((a, b) => (parameters(b) < parameters(a) ? b : a))
    return architectures
      .filter(of => process.env.VISIONTORCH_TEST_LARGE || of === smallest || others.includes(of))
      .map(architecture => ({ architecture: architecture as Architecture, size: sizesOf[name] ?? 129 }))
  })

describe('exported ONNX files, checked by onnx.checker and computed by ONNX Runtime', function () {
  this.timeout(600_000)
  before(function () {
    if (!python) skip(this, NO_PYTHON)
    if (spawnSync(python, ['-c', 'import onnx, onnxruntime']).status !== 0)
      skip(this, 'the Python has no onnx and onnxruntime (npm run reference:python)')
  })
  after(removeTemporaryFolders)

  /** Exports the model to a file `name`, next to a file of images (normalised, row by row), and returns the path. */
  async function exported(folder: string, name: string, model: Model, images: Float32Array, options = {}) {
    const path = join(folder, `${name}.onnx`)
    await model.export(path, options)
    const { width, height } = toSize(model.preprocessing.crop)
    await writeInput(path, images, [images.length / (3 * height * width), 3, height, width])
    return path
  }

  async function writeInput(path: string, values: Float32Array, shape: number[]): Promise<void> {
    await writeFile(path.replace('.onnx', '.f32'), values)
    await writeFile(path.replace('.onnx', '.shape'), shape.join())
  }

  /** Checks and computes files. */
  const compute = (paths: readonly string[]): Computed[] =>
    Object.values(JSON.parse(runReference('onnx_logits.py', ...paths)))

  async function forward(model: Model, images: Float32Array): Promise<Float32Array> {
    const { width, height } = toSize(model.preprocessing.crop)
    const count = images.length / (3 * height * width)
    const batch = new (native().ImageBatch)(count, height, width, [0, 0, 0], [1, 1, 1])
    batch.setTensor(images)
    return model.network.forward(batch, count, 'logits')
  }

  const difference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    a.length === b.length ? Math.max(...Array.from(a, (value, i) => Math.abs(value - b[i]!))) : Infinity

  describe('of every family', () => {
    const results = new Map<string, { ours: Float32Array; computed: Computed }>()
    before(async () => {
      for (const size of new Set(networks.map(({ size }) => size))) {
        const folder = await temporaryFolder()
        const names = networks
          .filter(network => network.size === size)
          .map(({ architecture }) => architecture)
        runReference('outputs.py', folder, String(size), ...names) // random weights, and images
        const { buffer, byteOffset, byteLength } = await readFile(join(folder, `${size}.f32`))
        const images = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength))
        const ours: Float32Array[] = []
        const paths: string[] = []
        for (const architecture of names) {
          const weights = join(folder, `${architecture}.pth`)
          using model = await createModel(architecture, { weights, numClasses: 10, device: 'cpu' })
          model.preprocessing = { ...model.preprocessing, resize: size, crop: size }
          paths.push(await exported(folder, architecture, model, images))
          ours.push(await forward(model, images))
          await rm(weights)
        }
        compute(paths).forEach((computed, i) => {
          results.set(names[i]!, { ours: ours[i]!, computed })
        })
        await rm(folder, { recursive: true })
      }
    })

    for (const { architecture, size } of networks) {
      it(`${architecture}: logits within 1e-4`, () => {
        const { ours, computed } = results.get(architecture)!
        assert.deepEqual(computed.inputs, { pixel_values: ['batch', 3, size, size] })
        assert.deepEqual(computed.outputs, { logits: ['batch', 10] })
        const distance = difference(computed.values, ours)
        const largest = Math.max(...ours.map(Math.abs)) // Inception's, of random weights, is 67
        assert.ok(distance <= Math.max(1e-4, 1e-5 * largest), `${distance}, of logits up to ${largest}`)
      })
    }
  })

  describe('with options', () => {
    const images = Float32Array.from({ length: 3 * 3 * 32 * 32 }, (_, i) => Math.sin(i))
    const first = images.slice(0, 3 * 32 * 32)
    const cases = {
      default: {},
      'opset 17': { opset: 17 },
      'opset 22': { opset: 22 },
      softmax: { softmax: true },
      single: { dynamicBatch: false },
      external: { externalData: true },
    }
    type Case = keyof typeof cases
    const results = {} as Record<Case | `ViT, ${Case}`, Computed>
    let model: Model
    let preprocessing: object
    let logits: Float32Array
    let ofViT: Float32Array
    before(async () => {
      model = await tinyModel({ seed: 3 })
      preprocessing = model.preprocessing
      using vit = await createModel('vit_b_32', {
        ...{ imageSize: 32, patchSize: 16, numLayers: 1, hiddenDim: 24, numHeads: 3, mlpDim: 40 },
        ...{ numClasses: 4, weights: null, device: 'cpu' as const },
      })
      vit.preprocessing = { ...vit.preprocessing, resize: 32, crop: 32 }
      logits = await forward(model, images)
      ofViT = await forward(vit, images)
      const [folder, moved] = [await temporaryFolder(), await temporaryFolder()]
      const paths: string[] = []
      for (const [name, options] of Object.entries(cases)) {
        const input = name === 'single' ? first : images
        paths.push(await exported(folder, name, model, input, options))
        if (name.startsWith('opset')) paths.push(await exported(folder, `ViT, ${name}`, vit, input, options))
      }
      for (const file of await readdir(folder)) await rename(join(folder, file), join(moved, file))
      const files = paths.map(path => join(moved, basename(path)))
      compute(files).forEach((computed, i) => {
        results[basename(files[i]!, '.onnx') as Case] = computed
      })
      assert.ok((await readFile(join(moved, 'external.onnx'))).length < 100_000)
    })
    after(() => model?.dispose())

    it('folds batch norms', () => {
      const { operations } = results.default
      assert.ok(!operations.includes('BatchNormalization'), operations.join())
    })

    it('has the architecture, classes and preprocessing in its metadata', () => {
      const { metadata, opset } = results.default
      assert.equal(opset, 18)
      assert.equal(metadata.architecture, 'mobilenet_v2')
      assert.deepEqual(JSON.parse(metadata.classes!), ['ant', 'bee', 'cow'])
      assert.deepEqual(JSON.parse(metadata.preprocessing!), preprocessing)
    })

    for (const name of ['opset 17', 'opset 22'] as const) {
      it(`${name}: the same logits, also for a transformer`, () => {
        for (const { opset } of [results[name], results[`ViT, ${name}`]])
          assert.equal(opset, Number(name.slice(-2)))
        assert.ok(difference(results[name].values, logits) <= 1e-5)
        assert.ok(difference(results[`ViT, ${name}`].values, ofViT) <= 1e-5)
      })
    }

    it('softmax: the output is probabilities', () => {
      const { outputs, values } = results.softmax
      assert.deepEqual(outputs, { probabilities: ['batch', 3] })
      const exponentials = logits.map(Math.exp)
      const sums = [0, 3, 6].map(i => exponentials.slice(i, i + 3).reduce((a, b) => a + b))
      assert.ok(
        difference(
          values,
          exponentials.map((value, i) => value / sums[Math.floor(i / 3)]!),
        ) <= 1e-6,
      )
    })

    it('dynamicBatch: false takes one image', () => {
      const { inputs, outputs, values } = results.single
      assert.deepEqual([inputs, outputs], [{ pixel_values: [1, 3, 32, 32] }, { logits: [1, 3] }])
      assert.ok(difference(values, logits.slice(0, 3)) <= 1e-5)
    })

    it('externalData: true puts the tensors into a second file, which can move with the first', () => {
      assert.ok(difference(results.external.values, logits) <= 1e-5)
    })
  })

  describe('of quantised models', () => {
    const results = new Map<
      string,
      { layers: number; ours: Float32Array; float: Float32Array; computed: Computed }
    >()
    const networks = {
      mobilenet_v2: () => tinyModel({ seed: 3 }),
      // Its linear layers multiply tokens.
      vit_b_32: async () => {
        const model = await createModel('vit_b_32', {
          ...{ imageSize: 32, patchSize: 16, numLayers: 2, hiddenDim: 24, numHeads: 3, mlpDim: 40 },
          ...{ numClasses: 4, weights: null, device: 'cpu' as const, seed: 1 },
        })
        const weights = await model.stateDict() // its new classifier is zero
        weights.get('heads.head.weight')!.data.forEach((_, i, data) => {
          data[i] = Math.sin(i)
        })
        const path = join(await temporaryFolder(), 'vit.pth')
        await writeCheckpoint(path, weights)
        await model.loadStateDict(path)
        return model
      },
      squeezenet1_1: async () => {
        const model = await createModel('squeezenet1_1', { numClasses: 4, device: 'cpu', seed: 2 })
        model.preprocessing = { ...model.preprocessing, resize: 64, crop: [64, 48] }
        return model
      },
    }
    before(async () => {
      const folder = await temporaryFolder()
      const photos = Array.from({ length: 16 }, (_, k) => ({
        data: Uint8Array.from(
          { length: 64 * 64 * 3 },
          (_, i) => 128 + 90 * Math.sin((i * (k + 3)) / 50) + ((i * 31) % 37),
        ),
        ...{ width: 64, height: 64, channels: 3 as const },
      }))
      const paths: string[] = []
      const parts: { layers: number; ours: Float32Array; float: Float32Array }[] = []
      for (const [name, create] of Object.entries(networks)) {
        using model = await create()
        using quantized = await model.quantize(photos, { keep: 'none' })
        const { width, height } = toSize(model.preprocessing.crop)
        const images = Float32Array.from(
          { length: 2 * 3 * height * width },
          (_, i) => Math.sin(i / 20) + Math.sin(i / 7),
        )
        paths.push(await exported(folder, name, quantized, images, { opset: 17 }))
        parts.push({
          layers: quantized.quantization!.int8.length,
          ours: await forward(quantized, images),
          float: await forward(model, images),
        })
      }
      compute(paths).forEach((computed, i) => {
        results.set(Object.keys(networks)[i]!, { ...parts[i]!, computed })
      })
    })

    for (const name of Object.keys(networks)) {
      it(`${name}: int8 weights, bytes before every quantised layer, and logits that differ by rounding`, () => {
        const { layers, ours, float, computed } = results.get(name)!
        const count = (type: string) => computed.operations.filter(each => each === type).length
        assert.equal(count('QuantizeLinear'), layers)
        assert.ok(count('DequantizeLinear') >= 2 * layers)
        const [distance, rounding] = [difference(computed.values, ours), difference(float, ours)]
        assert.ok(distance <= 0.5 * rounding, `${distance}, and quantisation changes them by ${rounding}`)
      })
    }
  })

  describe('that resize, crop and normalise', () => {
    const sizes = [
      { width: 61, height: 47 },
      { width: 40, height: 333 },
      { width: 32, height: 32 },
      { width: 20, height: 11 },
    ]
    const squares = { resize: 37, crop: 32 }
    const cases = RESIZE_MODES.flatMap(mode => [
      ...INTERPOLATIONS.flatMap(interpolation =>
        sizes.map(size => ({ mode, interpolation, ...size, ...squares })),
      ),
      { mode, interpolation: 'bilinear' as const, ...sizes[0]!, resize: [37, 50], crop: [32, 45] },
    ]).map((each, i) => ({ ...each, name: `${i}` }))
    const results = new Map<string, { ours: Float32Array; computed: Computed }>()
    before(async () => {
      const folder = await temporaryFolder()
      const paths: string[] = []
      const ours: Float32Array[] = []
      for (const { mode, interpolation, resize, crop, width, height, name } of cases) {
        const preprocessing = checkPreprocessing('preprocessing', {
          ...{ mode, interpolation, resize, crop, mean: [0.4, 0.5, 0.6], std: [0.2, 0.25, 0.3] },
        })
        const input = toSize(preprocessing.crop)
        const pixels = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * i * 2654435761) >>> 13)
        // A network that returns its input.
        const identity = { type: 'Identity', inputs: ['pixel_values'], output: 'logits', attributes: {} }
        const network = {
          input: 'pixel_values',
          output: 'logits',
          operations: [identity],
          tensors: new Map(),
        }
        const path = join(folder, `${name}.onnx`)
        const file = encodeOnnx({
          graph: withPreprocessing(network, preprocessing),
          opset: 18,
          name: 'preprocessing',
          input: { name: 'pixel_values', dimensions: ['batch', 3, 'height', 'width'] },
          output: { name: 'logits', dimensions: ['batch', 3, input.height, input.width] },
          metadata: {},
        })
        await writeFile(path, file)
        const planes = [0, 1, 2].flatMap(channel => [...pixels.filter((_, i) => i % 3 === channel)])
        await writeInput(path, Float32Array.from(planes), [1, 3, height, width])
        paths.push(path)
        const { mean, std } = preprocessing
        const batch = new (native().ImageBatch)(1, input.height, input.width, mean, std)
        const image = { data: pixels, width, height, channels: 3 }
        await batch.set(0, image, evalTransform(preprocessing, { width, height }))
        ours.push(batch.getTensor(1))
      }
      compute(paths).forEach((computed, i) => {
        results.set(cases[i]!.name, { ours: ours[i]!, computed })
      })
    })

    for (const { mode, interpolation, crop, width, height, name } of cases) {
      it(`${mode}, ${interpolation}, ${width} x ${height} to ${formatSize(crop as InputSize)}: the pixels equal ours or differ by one`, () => {
        const { ours, computed } = results.get(name)!
        // Pillow's weights have 22 bits, which decide how a sum halfway between two bytes is rounded.
        const differ = ours.filter((value, i) => Math.abs(value - computed.values[i]!) > 1e-5)
        assert.ok(differ.length <= 0.03 * ours.length, `${differ.length} of ${ours.length}`)
        assert.ok(difference(computed.values, ours) <= 1 / (255 * 0.2) + 1e-5) // one of 255
      })
    }
  })
})
