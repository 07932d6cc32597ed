import assert from 'node:assert/strict'
import { join } from 'node:path'
import { createModel, loadModel } from '../../../lib/model/create-model.js'
import type { Model } from '../../../lib/model/model.js'
import { native } from '../../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { plainSgd } from '../../support/plain-sgd.js'

const isOfHead = (name: string) => /^(aux[12]|AuxLogits)\./.test(name)

async function tensor(model: Model, name: string): Promise<number[]> {
  return Array.from((await model.stateDict()).get(name)!.data as Float32Array)
}

/** Makes one step on random images and returns the loss. */
async function step(model: Model, size: number, freeze = false): Promise<number> {
  const trainer = await native().createTrainer(model.network, plainSgd)
  if (freeze) await trainer.setFrozen(true, true)
  const batch = new (native().ImageBatch)(2, size, size, [0, 0, 0], [1, 1, 1])
  batch.setTensor(Float32Array.from({ length: 2 * 3 * size * size }, (_, i) => Math.sin(i * i)))
  const options = { learningRate: 0.1, seed: 0, scale: 1, update: true, mixed: null }
  return (await trainer.step(batch, Int32Array.of(0, 1), options)).loss
}

describe('auxiliary heads', function () {
  this.timeout(120_000)
  after(removeTemporaryFolders)
  let folder: string
  let withHeads: string
  let withoutHeads: string
  before(async () => {
    folder = await temporaryFolder()
    withHeads = join(folder, 'with.pth')
    withoutHeads = join(folder, 'without.pth')
    for (const [auxLogits, path] of [
      [true, withHeads],
      [false, withoutHeads],
    ] as const) {
      using model = await createModel('googlenet', { numClasses: 3, seed: 4, auxLogits })
      await model.save(path, { format: 'state_dict' })
    }
  })

  it('are loaded from a file that has them', async () => {
    using saved = await createModel('googlenet', { numClasses: 3, seed: 4 })
    using model = await createModel('googlenet', { weights: withHeads })
    assert.deepEqual(await tensor(model, 'aux2.fc2.weight'), await tensor(saved, 'aux2.fc2.weight'))
    assert.deepEqual(model.loadReport!.skipped, [])
  })

  it('start at random if the file does not have them', async () => {
    using fresh = await createModel('googlenet', { numClasses: 3, seed: 9 })
    using model = await createModel('googlenet', { weights: withoutHeads, seed: 9 })
    assert.deepEqual(model.loadReport!.missing, [])
    assert.deepEqual(await tensor(model, 'aux1.fc1.weight'), await tensor(fresh, 'aux1.fc1.weight'))
    assert.equal(model.untrained, false)
    await model.loadStateDict(withoutHeads)
  })

  it('are skipped if the network does not have them', async () => {
    using model = await createModel('googlenet', { weights: withHeads, auxLogits: false })
    const { skipped, unexpected } = model.loadReport!
    assert.ok(skipped.length > 0 && skipped.every(isOfHead), String(skipped))
    assert.deepEqual(unexpected, [])
    assert.ok([...(await model.stateDict()).keys()].every(name => !isOfHead(name)))
  })

  it('have new outputs for other classes, on pretrained layers', async () => {
    using saved = await createModel('googlenet', { numClasses: 3, seed: 4 })
    using model = await createModel('googlenet', { weights: withHeads, numClasses: 5 })
    assert.deepEqual(
      model.loadReport!.skipped.filter(name => !name.includes('fc2')),
      [],
    )
    assert.equal((await tensor(model, 'aux1.fc2.bias')).length, 5)
    assert.deepEqual(await tensor(model, 'aux1.fc1.bias'), await tensor(saved, 'aux1.fc1.bias'))
  })

  it('get new outputs with a new classifier', async () => {
    using model = await createModel('googlenet', { numClasses: 3 })
    const before = await tensor(model, 'aux1.fc1.bias')
    await model.replaceClassifier(4)
    assert.equal((await tensor(model, 'aux1.fc2.bias')).length, 4)
    assert.equal((await tensor(model, 'aux2.fc2.bias')).length, 4)
    assert.deepEqual(await tensor(model, 'aux1.fc1.bias'), before)
    await model.save(join(folder, 'new.pth'))
    using loaded = await loadModel(join(folder, 'new.pth'))
    assert.equal(loaded.parameterCount, model.parameterCount)
  })

  it('add their losses in training, unless the backbone is frozen', async () => {
    const options = { numClasses: 3, dropout: 0, dropoutAux: 0 }
    using withTheirs = await createModel('googlenet', options)
    using without = await createModel('googlenet', { ...options, auxLogits: false })
    const before = await tensor(withTheirs, 'aux1.fc2.bias')
    const own = await step(without, 64)
    const all = await step(withTheirs, 64)
    // Each of the two losses is about log(3), with a weight of 0.3. The parity tests compare with PyTorch.
    assert.ok(Math.abs(all - own - 0.6 * Math.log(3)) < 0.3, `${all}, ${own} without`)
    assert.notDeepEqual(await tensor(withTheirs, 'aux1.fc2.bias'), before)
    const frozen = await tensor(withTheirs, 'aux1.fc2.bias')
    assert.ok(Math.abs((await step(withTheirs, 64, true)) - Math.log(3)) < 0.5)
    assert.deepEqual(await tensor(withTheirs, 'aux1.fc2.bias'), frozen)
  })

  it('refuse images that they would reduce to nothing, but that predictions accept', async () => {
    using model = await createModel('inception_v3', { numClasses: 3 })
    assert.ok(model.summary(96).layers.length > 0)
    await assert.rejects(step(model, 96), { code: 'ERR_INVALID_ARGUMENT', message: /auxLogits: false/ })
  })
})
