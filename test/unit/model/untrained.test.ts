import assert from 'node:assert/strict'
import { join } from 'node:path'
import { evaluate } from '../../../lib/evaluate/evaluate.js'
import { writeCheckpoint } from '../../../lib/model/checkpoint.js'
import { createModel, loadModel } from '../../../lib/model/create-model.js'
import type { Model } from '../../../lib/model/model.js'
import { predictEach } from '../../../lib/model/predict.js'
import { train } from '../../../lib/train.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { tinyModel, tinyOptions } from '../../support/tiny-model.js'

const gray = { data: new Uint8Array(32 * 32 * 3).fill(90), width: 32, height: 32, channels: 3 }

async function assertUntrained(model: Model, reason: RegExp): Promise<void> {
  assert.equal(model.untrained, true)
  const expected = { code: 'ERR_UNTRAINED', message: reason }
  await assert.rejects(model.predict(gray), expected)
  await assert.rejects(model.predict([gray]), expected)
  await assert.rejects(predictEach(model, [gray]).next(), expected)
  await assert.rejects(evaluate(model, '/no/matter'), expected)
  assert.equal((await model.features(gray)).length, 1280)
  assert.equal((await model.predict(gray, { allowUntrained: true })).length, Math.min(5, model.numClasses))
}

describe('an untrained classifier gives no probabilities', () => {
  let folder: string
  let path: string // a state_dict for three classes
  before(async () => {
    folder = await temporaryFolder()
    path = join(folder, 'three.pth')
    using model = await tinyModel()
    await model.save(path, { format: 'state_dict' })
  })
  after(removeTemporaryFolders)

  it('if the weights are for another number of classes', async () => {
    using model = await tinyModel({ weights: path, classes: ['x', 'y'] })
    await assertUntrained(model, /three\.pth has 3 classes, and 2 were asked for/)
  })

  it('if they are for classes of other names', async () => {
    using named = await tinyModel({ weights: path, classes: ['ant', 'bee', 'cow'] })
    const file = join(folder, 'named.pth')
    await named.save(file)
    using same = await tinyModel({ weights: file, classes: ['ant', 'bee', 'cow'] })
    assert.equal(same.untrained, false)
    using model = await tinyModel({ weights: file, classes: ['cow', 'bee', 'ant'] })
    await assertUntrained(model, /has the classes ant, bee, cow, and cow, bee, ant were asked for/)
  })

  it('if the weights have no classifier', async () => {
    using model = await tinyModel()
    const backbone = [...(await model.stateDict())].filter(([name]) => !name.startsWith('classifier'))
    const file = join(folder, 'backbone.pth')
    await writeCheckpoint(file, new Map(backbone))
    using loaded = await tinyModel({ weights: file })
    await assertUntrained(loaded, /backbone\.pth has no classifier/)
  })

  it('after replaceClassifier(), until weights with a classifier are loaded', async () => {
    using model = await tinyModel({ weights: path })
    await model.replaceClassifier(['x', 'y', 'z'])
    await assertUntrained(model, /replaceClassifier\(\) created a new one/)
    await model.loadStateDict(path)
    assert.equal((await model.predict(gray)).length, 3)
  })

  it('after it was saved and loaded', async () => {
    using model = await tinyModel({ weights: path, classes: ['x', 'y'] })
    const file = join(folder, 'saved.pth')
    await model.save(file)
    using loaded = await loadModel(file, { device: 'cpu' })
    await assertUntrained(loaded, /saved\.pth was saved before it was trained/)
    using trained = await tinyModel({ weights: path, classes: ['x', 'y'] })
    await trained.loadStateDict(file)
    assert.equal(trained.untrained, true)
  })

  it('until it is trained', async () => {
    const photos = join(folder, 'photos')
    await drawPhotos(photos)
    using model = await createModel('mobilenet_v2', {
      ...tinyOptions,
      weights: path,
      classes: ['checks', 'columns'],
    })
    await model.replaceClassifier(['checks', 'columns', 'rows'])
    const directory = join(folder, 'run')
    await train(model, { data: photos, directory, epochs: 1, batchSize: 8, inputSize: 32, report: false })
    assert.equal((await model.predict(gray)).length, 3)
    using best = await loadModel(join(directory, 'best.pth'), { device: 'cpu' })
    assert.equal(best.untrained, false)
  })

  it('except, on request, if the whole network is random', async () => {
    using model = await tinyModel({ weights: null })
    await model.replaceClassifier(['x', 'y'])
    assert.equal(model.untrained, false)
    assert.equal((await model.predict(gray)).length, 2)
  })
})

describe('a network with one output', () => {
  it('gives no probability, because that would always be 1', async () => {
    using model = await tinyModel({ classes: ['age'] })
    const expected = { code: 'ERR_INVALID_ARGUMENT', message: /one output.*always 1/ }
    await assert.rejects(model.predict(gray), expected)
    await assert.rejects(evaluate(model, '/no/matter'), expected)
    assert.equal((await model.features(gray)).length, 1280)
  })
})

describe('outputs that are not finite', () => {
  it('give no probabilities, and the error says that the weights are finite', async () => {
    using model = await tinyModel()
    const weights = await model.stateDict()
    const { shape } = weights.get('classifier.1.weight')!
    const data = new Float32Array(shape[0]! * shape[1]!).fill(3e38)
    weights.set('classifier.1.weight', { dtype: 'float32', shape, data })
    const bias = { dtype: 'float32' as const, shape: [3], data: new Float32Array(3).fill(3e38) }
    weights.set('classifier.1.bias', bias)
    for (const name of weights.keys()) {
      if (!/features\.3\.1\.bias/.test(name)) continue
      const { shape } = weights.get(name)!
      weights.set(name, { dtype: 'float32', shape, data: new Float32Array(shape[0]!).fill(6) })
    }
    const path = join(await temporaryFolder(), 'huge.pth')
    await writeCheckpoint(path, weights)
    using huge = await tinyModel({ weights: path })
    const expected = { code: 'ERR_NON_FINITE', message: /weights are finite, so the computation overflows/ }
    await assert.rejects(huge.predict(gray), expected)
    await assert.rejects(huge.predict([gray, gray]), expected)
    await assert.rejects(predictEach(huge, [gray]).next(), expected)
    await removeTemporaryFolders()
  })
})
