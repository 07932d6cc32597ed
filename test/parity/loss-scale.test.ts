import assert from 'node:assert/strict'
import { join } from 'node:path'
import { createModel, type Model } from '../../lib/index.js'
import { type NativeTrainer, native } from '../../lib/native/native.js'
import { replaceFile } from '../../lib/util/files.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { plainSgd } from '../support/plain-sgd.js'
import { smallNetwork } from '../support/small-network.js'

// On a CPU, float16 computes in float32, so this tests only the scaling of the loss.
describe('the scaled loss of training in float16', () => {
  after(removeTemporaryFolders)

  const labels = Int32Array.of(0, 1, 2, 0)
  const trainerOf = (model: Model, dtype: 'float32' | 'float16') =>
    native().createTrainer(model.network, { ...plainSgd, dtype })

  function step(trainer: NativeTrainer, scale = 1) {
    const batch = new (native().ImageBatch)(labels.length, 32, 32, [0, 0, 0], [1, 1, 1])
    batch.setTensor(Float32Array.from({ length: labels.length * 3 * 32 * 32 }, (_, i) => Math.sin(i * i)))
    return trainer.step(batch, labels, { learningRate: 0.1, seed: 0, scale, update: true, mixed: null })
  }

  /** The entry of GradScaler.state_dict(). */
  async function saved(model: Model, trainer: NativeTrainer): Promise<Map<string, unknown>> {
    const path = join(await temporaryFolder(), 'saved.pth')
    await replaceFile(path, file => native().saveModel(file.fd, model.network, new Map(), trainer))
    const checkpoint = await native().openCheckpoint(path, { verify: true })
    const { metadata } = checkpoint.inspect()
    checkpoint.dispose()
    return (metadata as Map<string, Map<string, unknown>>).get('scaler')!
  }

  it('changes nothing while gradients are finite, because the scale is a power of two', async () => {
    const weights = []
    for (const dtype of ['float32', 'float16'] as const) {
      using model = await smallNetwork()
      const trainer = await trainerOf(model, dtype)
      for (let i = 0; i < 3; i++) await step(trainer)
      weights.push(await model.stateDict())
    }
    assert.deepEqual(weights[0], weights[1])
  })

  it('skips an update whose gradients overflow, and halves the scale', async () => {
    using model = await smallNetwork()
    const trainer = await trainerOf(model, 'float16')
    const parameters = async () =>
      new Map([...(await model.stateDict())].filter(([name]) => !/running_|num_batches/.test(name)))
    const before = await parameters()
    await step(trainer, 1e36)
    assert.deepEqual(await parameters(), before)
    const scaler = await saved(model, trainer)
    assert.equal(scaler.get('scale'), 32768)
    assert.equal(scaler.get('_growth_tracker'), 0)
    await step(trainer)
    assert.notDeepEqual(await parameters(), before)
    assert.equal((await saved(model, trainer)).get('_growth_tracker'), 1)
  })

  it('continues from the scale of the checkpoint', async () => {
    using model = await createModel('resnet18', { numClasses: 3 })
    const trainer = await trainerOf(model, 'float16')
    await step(trainer, 1e36)
    await step(trainer)
    const path = join(await temporaryFolder(), 'last.pth')
    await replaceFile(path, file => native().saveModel(file.fd, model.network, new Map(), trainer))
    const resumed = await trainerOf(model, 'float16')
    const checkpoint = await native().openCheckpoint(path, { verify: true })
    await resumed.loadState(checkpoint)
    checkpoint.dispose()
    assert.deepEqual(await saved(model, resumed), await saved(model, trainer))
  })
})
