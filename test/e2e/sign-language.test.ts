import assert from 'node:assert/strict'
import { join } from 'node:path'
import { createModel, ImageFolder, train } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { hasShared, NO_SHARED, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'

describe(`photographs of sign language`, () => {
  before(function () {
    if (!hasShared) skip(this, NO_SHARED)
  })
  after(removeTemporaryFolders)

  it('are distinguished by a MobileNetV2 that was trained on 40 of each, from random weights', async function () {
    this.timeout(600_000)
    const data = await ImageFolder.open(shared('data/sign-mini'))
    using model = await createModel('mobilenet_v2', { classes: data.classes })
    const { best } = await train(model, {
      data,
      epochs: 30,
      batchSize: 8,
      inputSize: 64,
      optimizer: 'adamw',
      learningRate: 0.002,
      warmupEpochs: 3,
      augmentation: { scale: [0.5, 1] },
      directory: join(await temporaryFolder(), 'run'),
      report: false,
    })
    assert.ok(best.top1 >= 0.9, `accuracy ${best.top1}`)
  })
})
