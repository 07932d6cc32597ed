import assert from 'node:assert/strict'
import type { Model } from '../../../lib/model/model.js'
import { native, type TrainerOptions } from '../../../lib/native/native.js'
import { defaultLearningRates, optimizer } from '../../../lib/train/optimizers.js'
import { plainSgd } from '../../support/plain-sgd.js'
import { tinyModel } from '../../support/tiny-model.js'

const names = Object.keys(defaultLearningRates)

describe('optimizers', () => {
  let model: Model
  before(async () => {
    model = await tinyModel({ weights: null })
  })
  const create = (optimizer: TrainerOptions['optimizer']) =>
    native().createTrainer(model.network, { ...plainSgd, optimizer })

  for (const name of names)
    it(`${name} is known to the addon, with its hyperparameters`, async () => {
      await create(optimizer.check('optimizer', name))
    })

  it('with any other name are also refused by the addon', async () => {
    await assert.rejects(create({ name: 'lion' }), {
      name: 'VisionTorchError',
      code: 'ERR_INVALID_ARGUMENT',
      message: `optimizer.name: expected one of ${names.join(', ')}, got 'lion'`,
    })
  })

  it('require their hyperparameters', async () => {
    await assert.rejects(create({ name: 'adam', weightDecay: 0 }), {
      code: 'ERR_INVALID_ARGUMENT',
      message: 'optimizer.betas: expected 2 numbers',
    })
    await assert.rejects(create({ name: 'sgd' }), { message: 'optimizer.weightDecay: expected a number' })
  })
})
