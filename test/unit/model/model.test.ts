import assert from 'node:assert/strict'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { type Architecture, families, listArchitectures } from '../../../lib/model/architectures.js'
import { createModel, loadModel } from '../../../lib/model/create-model.js'
import type { Model } from '../../../lib/model/model.js'
import { networkOptionNames } from '../../../lib/model/network-options.js'
import * as networks from '../../../lib/model/networks.js'
import { native } from '../../../lib/native/native.js'
import { runtimeInfo, setThreads } from '../../../lib/native/runtime.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { skip } from '../../support/skip.js'
import { tinyModel, tinyOptions } from '../../support/tiny-model.js'

const gray = { data: new Uint8Array(32 * 32 * 3).fill(90), width: 32, height: 32, channels: 3 }

async function sameWeights(a: Model, b: Model): Promise<boolean> {
  const [first, second] = [await a.stateDict(), await b.stateDict()]
  assert.deepEqual([...first.keys()], [...second.keys()])
  return [...first].every(([name, { data }]) =>
    Buffer.from(data.buffer).equals(Buffer.from(second.get(name)!.data.buffer)),
  )
}

describe('createModel', () => {
  it('has a type with all networks that the addon lists', () => {
    const type: Record<Architecture, true> = {
      vgg11: true,
      vgg11_bn: true,
      vgg13: true,
      vgg13_bn: true,
      vgg16: true,
      vgg16_bn: true,
      vgg19: true,
      vgg19_bn: true,
      mobilenet_v2: true,
      mobilenet_v3_large: true,
      mobilenet_v3_small: true,
      efficientnet_b0: true,
      efficientnet_b1: true,
      efficientnet_b2: true,
      efficientnet_b3: true,
      efficientnet_b4: true,
      efficientnet_b5: true,
      efficientnet_b6: true,
      efficientnet_b7: true,
      efficientnet_v2_s: true,
      efficientnet_v2_m: true,
      efficientnet_v2_l: true,
      regnet_y_400mf: true,
      regnet_y_800mf: true,
      regnet_y_1_6gf: true,
      regnet_y_3_2gf: true,
      regnet_y_8gf: true,
      regnet_y_16gf: true,
      regnet_y_32gf: true,
      regnet_y_128gf: true,
      regnet_x_400mf: true,
      regnet_x_800mf: true,
      regnet_x_1_6gf: true,
      regnet_x_3_2gf: true,
      regnet_x_8gf: true,
      regnet_x_16gf: true,
      regnet_x_32gf: true,
      mnasnet0_5: true,
      mnasnet0_75: true,
      mnasnet1_0: true,
      mnasnet1_3: true,
      resnet18: true,
      resnet34: true,
      resnet50: true,
      resnet101: true,
      resnet152: true,
      resnext50_32x4d: true,
      resnext101_32x8d: true,
      resnext101_64x4d: true,
      wide_resnet50_2: true,
      wide_resnet101_2: true,
      densenet121: true,
      densenet161: true,
      densenet169: true,
      densenet201: true,
      shufflenet_v2_x0_5: true,
      shufflenet_v2_x1_0: true,
      shufflenet_v2_x1_5: true,
      shufflenet_v2_x2_0: true,
      squeezenet1_0: true,
      squeezenet1_1: true,
      alexnet: true,
      googlenet: true,
      inception_v3: true,
      convnext_tiny: true,
      convnext_small: true,
      convnext_base: true,
      convnext_large: true,
      vit_b_16: true,
      vit_b_32: true,
      vit_l_16: true,
      vit_l_32: true,
      vit_h_14: true,
      swin_t: true,
      swin_s: true,
      swin_b: true,
      swin_v2_t: true,
      swin_v2_s: true,
      swin_v2_b: true,
      maxvit_t: true,
    }
    assert.deepEqual(listArchitectures().sort(), Object.keys(type).sort())
  })

  it('checks every option of a network', () => {
    const taken = new Set(families().flatMap(({ options }) => options))
    assert.deepEqual([...taken].sort(), [...networkOptionNames].sort())
  })

  for (const { architectures, classifierLayer, features, options } of native().families()) {
    it(`knows the classifier and the number of features of ${architectures[0]}`, async () => {
      const withoutOtherHeads = options.includes('auxLogits') ? { auxLogits: false } : {}
      const model = await native().createModel(architectures[0]!, 7, 0, withoutOtherHeads)
      const last = model.entries().filter(({ shape }) => shape[0] === 7)
      assert.deepEqual(
        last.map(({ name }) => name),
        ['weight', 'bias'].slice(0, last.length).map(name => `${classifierLayer}.${name}`),
      )
      const size = options.includes('imageSize') ? 224 : 96
      const batch = new (native().ImageBatch)(1, size, size, [0, 0, 0], [1, 1, 1])
      batch.setTensor(new Float32Array(3 * size * size))
      assert.equal((await model.forward(batch, 1, 'features')).length, features[0])
      model.dispose()
    })
  }

  it('names the smallest image size that a network accepts', async () => {
    const model = await native().createModel('vgg11', 2, null, {})
    assert.throws(() => model.summary(31, 31), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /expected at least 32, got 31: the image is too small for vgg11/,
    })
    assert.ok(model.summary(32, 48).length > 0)
    model.dispose()
  })

  it('names the image size of a network that accepts only one', async () => {
    using model = await createModel('vit_b_32', {
      numClasses: 2,
      imageSize: 64,
      hiddenDim: 24,
      numHeads: 2,
      numLayers: 1,
    })
    assert.equal(model.preprocessing.crop, 64)
    assert.throws(() => model.summary(224), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /expected 64, got 224: this vit_b_32 takes images of one size only. .*imageSize/,
    })
    assert.throws(() => model.summary([64, 96]), /expected 64, got 96/)
    const batch = new (native().ImageBatch)(1, 224, 224, [0, 0, 0], [1, 1, 1])
    batch.setTensor(new Float32Array(3 * 224 * 224))
    await assert.rejects(model.network.forward(batch, 1, 'logits'), /expected 64, got 224/)
    await assert.rejects(createModel('vit_b_32', { imageSize: 100 }), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /imageSize: expected a multiple of vit_b_32's patch size, 32, got 100/,
    })
    await assert.rejects(createModel('maxvit_t', { imageSize: 256 }), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /imageSize: expected a multiple of 224 for maxvit_t, got 256/,
    })
  })

  it('has a shorthand for each network', async () => {
    assert.equal(Object.keys(networks).length, listArchitectures().length)
    using model = await networks.mobilenetV2({ numClasses: 2, widthMult: 0.25 })
    assert.equal(model.architecture, 'mobilenet_v2')
  })

  it('makes a network with random weights', async () => {
    using model = await tinyModel()
    assert.equal(model.architecture, 'mobilenet_v2')
    assert.deepEqual(model.classes, ['ant', 'bee', 'cow'])
    assert.equal(model.numClasses, 3)
    assert.equal(model.device, 'cpu')
    assert.equal(model.dtype, 'float32')
    assert.equal(model.loadReport, null)
    assert.equal(model.preprocessing.crop, 32)
    const parameters = [...(await model.stateDict())].filter(([name]) => !/running_|num_batches/.test(name))
    assert.equal(
      model.parameterCount,
      parameters.reduce((sum, [, { data }]) => sum + data.length, 0),
    )
  })

  it('numbers classes without names', async () => {
    using model = await createModel('mobilenet_v2', { numClasses: 2, widthMult: 0.25 })
    assert.deepEqual(model.classes, ['0', '1'])
  })

  it('gives the same weights for the same seed', async () => {
    using a = await tinyModel({ seed: 7 })
    using b = await tinyModel({ seed: 7 })
    using c = await tinyModel({ seed: 8 })
    assert.ok(await sameWeights(a, b))
    assert.ok(!(await sameWeights(a, c)))
  })

  const refusals: [string, () => Promise<unknown>, RegExp][] = [
    ['an unknown network', () => createModel('resent50' as never), /Did you mean 'resnet50'/],
    [
      'an unknown option',
      () => createModel('resnet18', { clases: ['a'] } as never),
      /Did you mean 'classes'/,
    ],
    [
      'contradictory numbers of classes',
      () => createModel('resnet18', { classes: ['a', 'b'], numClasses: 3 }),
      /numClasses: expected 2/,
    ],
    [
      'an option of another family',
      () => createModel('resnet18', { dropout: 0.5 }),
      /resnet18 has no such option/,
    ],
    ['an unknown dtype', () => createModel('resnet18', { dtype: 'float16' as never }), /float32, bfloat16/],
    [
      'official weights that do not exist',
      () => createModel('resnet18', { weights: 'IMAGENET1K_V2' }),
      /IMAGENET1K_V1/,
    ],
  ]
  for (const [what, create, message] of refusals) {
    it(`refuses ${what}`, async () => {
      await assert.rejects(create, { code: 'ERR_INVALID_ARGUMENT', message })
    })
  }

  it('names a missing device', async function () {
    if (native().runtimeInfo().cuda) skip(this, 'LibTorch sees a CUDA device')
    await assert.rejects(createModel('resnet18', { device: 'cuda' }), {
      code: 'ERR_DEVICE',
      message: /Use 'cpu'/,
    })
  })

  it('stops when its signal is aborted', async () => {
    await assert.rejects(createModel('resnet18', { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })
})

describe('weights from a file', () => {
  let path: string
  let original: Model
  beforeEach(async () => {
    path = join(await temporaryFolder(), 'weights.pth')
    original = await tinyModel({ seed: 1 })
  })
  afterEach(async () => {
    original.dispose()
    await removeTemporaryFolders()
  })

  it('are loaded by path or URL, with their number of classes', async () => {
    await original.save(path, { format: 'state_dict' })
    const { classes: _, ...options } = tinyOptions
    for (const weights of [path, pathToFileURL(path), pathToFileURL(path).href]) {
      using model = await createModel('mobilenet_v2', { ...options, weights })
      assert.deepEqual(model.classes, ['0', '1', '2'])
      assert.equal(model.loadReport!.loaded.length, (await original.stateDict()).size)
      assert.ok(await sameWeights(model, original))
    }
  })

  it('keep only their backbone if another number of classes is requested, and the report says so', async () => {
    await original.save(path, { format: 'state_dict' })
    using model = await createModel('mobilenet_v2', {
      ...tinyOptions,
      weights: path,
      classes: ['x', 'y'],
      seed: 3,
    })
    const { loaded, missing, unexpected, mismatched } = model.loadReport!
    assert.deepEqual(
      mismatched.map(({ name, expected, got }) => [name, expected[0], got[0]]),
      [
        ['classifier.1.weight', 2, 3],
        ['classifier.1.bias', 2, 3],
      ],
    )
    assert.deepEqual([missing, unexpected], [[], []])
    assert.ok(loaded.every(name => name.startsWith('features.')))
    using fresh = await tinyModel({ classes: ['x', 'y'], seed: 3 })
    const [weights, ours, theirs] = [
      await model.stateDict(),
      await fresh.stateDict(),
      await original.stateDict(),
    ]
    assert.deepEqual(weights.get('classifier.1.weight'), ours.get('classifier.1.weight'))
    assert.deepEqual(weights.get('features.0.0.weight'), theirs.get('features.0.0.weight'))
  })

  it('of another network are refused, by name', async () => {
    await original.save(path, { format: 'state_dict' })
    await assert.rejects(createModel('resnet18', { weights: path }), {
      code: 'ERR_CHECKPOINT_MISMATCH',
      message: /expected the weights of resnet18, but none of its tensors are among the 62 of the file/,
    })
  })

  it('load partially with strict: false', async () => {
    await original.save(path, { format: 'state_dict' })
    const options = { ...tinyOptions, widthMult: 0.5, weights: path }
    await assert.rejects(createModel('mobilenet_v2', options), { code: 'ERR_CHECKPOINT_MISMATCH' })
    using model = await createModel('mobilenet_v2', { ...options, strict: false })
    assert.ok(model.loadReport!.mismatched.length > 0)
    assert.ok(model.loadReport!.loaded.length > 0)
  })

  it('that do not exist are named in the error', async () => {
    const missing = join(path, '../none.pth')
    await assert.rejects(createModel('resnet18', { weights: missing }), {
      code: 'ERR_FILE_NOT_FOUND',
      message: /none\.pth/,
    })
  })

  it('can be loaded into an existing model', async () => {
    await original.save(path, { format: 'state_dict' })
    using model = await tinyModel({ seed: 2 })
    const report = await model.loadStateDict(path)
    assert.equal(report.loaded.length, (await original.stateDict()).size)
    assert.ok(await sameWeights(model, original))
  })

  describe('of our own', () => {
    it('bring architecture, options, classes and preprocessing', async () => {
      original.preprocessing = {
        ...original.preprocessing,
        resize: 40,
        mean: [0.1, 0.2, 0.3],
        interpolation: 'bicubic',
        mode: 'pad',
      }
      await original.save(path)
      using model = await loadModel(path, { device: 'cpu' })
      assert.equal(model.architecture, 'mobilenet_v2')
      assert.deepEqual(model.classes, original.classes)
      assert.deepEqual(model.preprocessing, original.preprocessing)
      assert.ok(await sameWeights(model, original))
      assert.deepEqual(await model.predict(gray), await original.predict(gray))
    })

    it('can be weights for createModel, with other classes', async () => {
      await original.save(path)
      using model = await createModel('mobilenet_v2', { weights: path, classes: ['x', 'y'] })
      assert.deepEqual(model.classes, ['x', 'y'])
      assert.equal(model.preprocessing.crop, 32)
      await assert.rejects(createModel('resnet18', { weights: path }), {
        code: 'ERR_CHECKPOINT_MISMATCH',
        message: /got those of mobilenet_v2/,
      })
    })

    it('are distinguished from a plain state_dict', async () => {
      await original.save(path, { format: 'state_dict' })
      await assert.rejects(loadModel(path), {
        code: 'ERR_CHECKPOINT_MISMATCH',
        message: /createModel\(architecture, \{ weights: path \}\)/,
      })
    })
  })
})

describe('Model', () => {
  it('replaceClassifier() accepts names or a number, and keeps the backbone', async () => {
    using model = await tinyModel()
    const before = await model.stateDict()
    await model.replaceClassifier(['x', 'y'])
    assert.deepEqual(model.classes, ['x', 'y'])
    const after = await model.stateDict()
    assert.deepEqual(after.get('classifier.1.weight')!.shape[0], 2)
    assert.deepEqual(after.get('features.0.0.weight'), before.get('features.0.0.weight'))
    await model.replaceClassifier(5)
    assert.deepEqual(model.classes, ['0', '1', '2', '3', '4'])
    assert.equal((await model.predict(gray)).length, 5)
    await assert.rejects(model.replaceClassifier([]), { code: 'ERR_INVALID_ARGUMENT' })
  })

  it('summary() has the counts of the papers', async () => {
    using resnet = await createModel('resnet50', { device: 'cpu' })
    const summary = resnet.summary()
    assert.equal(summary.parameterCount, 25_557_032)
    assert.equal((summary.multiplyAdds / 1e9).toFixed(2), '4.09')
    assert.equal(
      summary.layers.reduce((sum, { parameters }) => sum + parameters, 0),
      summary.parameterCount,
    )
    assert.deepEqual(summary.layers.at(-1)!.outputShape, [1000])
  })

  it('computes in bfloat16 on request if the processor can multiply it, otherwise in float32', async () => {
    using model = await tinyModel({ dtype: 'bfloat16' })
    assert.equal(model.dtype, 'bfloat16')
    const half = await model.predict(gray)
    await model.to('cpu', 'float32')
    const full = await model.predict(gray)
    assert.equal(isDeepStrictEqual(half, full), !runtimeInfo().bfloat16)
    for (const { index, score } of half) {
      assert.ok(Math.abs(score - full.find(other => other.index === index)!.score) < 0.05)
    }
  })

  it('computes in bfloat16 with odd numbers of channels, too', async () => {
    const invertedResidualSetting = [
      [1, 17, 1, 1],
      [6, 25, 2, 2],
      [6, 7, 1, 2],
    ]
    using model = await createModel('mobilenet_v2', {
      numClasses: 10,
      dtype: 'bfloat16',
      roundNearest: 1,
      invertedResidualSetting,
    })
    const half = await model.predict(gray)
    await model.to('cpu', 'float32')
    const full = await model.predict(gray)
    assert.equal(half.length, full.length)
    for (const { index, score } of half)
      assert.ok(Math.abs(score - full.find(other => other.index === index)!.score) < 0.05)
  })

  it('predicts the same with any number of threads', async () => {
    const { threads } = runtimeInfo()
    using model = await tinyModel()
    const scores: number[][] = []
    for (const count of [1, 2, 7]) {
      setThreads(count)
      const predictions = await Promise.all(Array.from({ length: 9 }, () => model.predict(gray)))
      for (const each of predictions) scores.push(each.map(({ score }) => score))
    }
    setThreads(threads)
    for (const each of scores)
      for (const [i, score] of each.entries()) assert.ok(Math.abs(score - scores[0]![i]!) < 1e-5)
  })

  it('says how to freeze it', async () => {
    using model = await tinyModel()
    assert.equal(model.frozen, false)
    model.freeze()
    assert.equal(model.frozen, true)
    model.freeze(false)
    assert.equal(model.frozen, false)
  })

  it('cannot be used after dispose(), and says so', async () => {
    const model = await tinyModel()
    model.dispose()
    model.dispose()
    const disposed = { code: 'ERR_DISPOSED', message: /mobilenet_v2 was disposed/ }
    assert.throws(() => model.device, disposed)
    assert.throws(() => model.summary(), disposed)
    assert.throws(() => model.freeze(), disposed)
    await assert.rejects(model.predict(gray), disposed)
    await assert.rejects(model.stateDict(), disposed)
    await assert.rejects(model.save('x.pth'), disposed)
    await assert.rejects(model.replaceClassifier(2), disposed)
  })

  it('cannot be saved at a path that cannot be written', async () => {
    using model = await tinyModel()
    await assert.rejects(model.save('/no/such/folder/model.pth'), { code: 'ERR_FILE_WRITE' })
  })
})
