import assert from 'node:assert/strict'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { createModel } from '../../../lib/model/create-model.js'
import { native } from '../../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { plainSgd } from '../../support/plain-sgd.js'

describe('the classifier of SqueezeNet, a convolution before the pooling', function () {
  this.timeout(60_000)
  after(removeTemporaryFolders)

  it('may have any number of classes in a file, and be replaced', async () => {
    const path = join(await temporaryFolder(), 'squeezenet.pth')
    using saved = await createModel('squeezenet1_1', { numClasses: 3, seed: 1 })
    await saved.save(path, { format: 'state_dict' })
    using same = await createModel('squeezenet1_1', { weights: path })
    assert.equal(same.numClasses, 3)
    assert.equal(same.untrained, false)
    using other = await createModel('squeezenet1_1', { weights: path, numClasses: 4 })
    assert.equal(other.untrained, true)
    assert.deepEqual(other.loadReport!.missing, [])
    await other.replaceClassifier(6)
    assert.deepEqual((await other.stateDict()).get('classifier.1.weight')!.shape, [6, 512, 1, 1])
  })

  it('keeps pooled features, and trains on the features of each pixel', async () => {
    using model = await createModel('squeezenet1_1', { numClasses: 3, seed: 1, dropout: 0 })
    const batch = new (native().ImageBatch)(2, 64, 64, [0, 0, 0], [1, 1, 1])
    batch.setTensor(Float32Array.from({ length: 2 * 3 * 64 * 64 }, (_, i) => Math.sin(i * i)))
    assert.equal((await model.network.forward(batch, 2, 'features')).length, 2 * 512)
    const trainer = await native().createTrainer(model.network, plainSgd)
    await trainer.setFrozen(true, true)
    const options = { learningRate: 0.01, seed: 0, scale: 1, update: true, mixed: null }
    const first = await trainer.step(batch, Int32Array.of(0, 1), options)
    const second = await trainer.step(batch, Int32Array.of(0, 1), options)
    assert.ok(second.loss < first.loss, `${first.loss}, then ${second.loss}`)
  })
})

describe('the older names of DenseNet', function () {
  this.timeout(60_000)
  after(removeTemporaryFolders)

  it('are read like the present ones', async () => {
    const path = join(await temporaryFolder(), 'densenet121.pth')
    using saved = await createModel('densenet121', { numClasses: 3, seed: 1 })
    const weights = await saved.stateDict()
    const older = new Map(
      [...weights].map(([name, tensor]) => [
        name.replace(/(denselayer\d+\.(?:norm|conv))([12])\./, '$1.$2.'),
        tensor,
      ]),
    )
    assert.ok(older.has('features.denseblock1.denselayer1.norm.1.weight'))
    const file = await open(path, 'w')
    await native().writeCheckpoint(file.fd, older)
    await file.close()
    using model = await createModel('densenet121', { weights: path })
    assert.deepEqual(model.loadReport!.missing, [])
    assert.equal(model.loadReport!.loaded.length, weights.size)
  })
})
