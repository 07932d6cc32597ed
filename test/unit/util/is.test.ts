import assert from 'node:assert/strict'
import { check, closest } from '../../../lib/util/is.js'

describe('argument checks', () => {
  it('name the argument, the expectation and the value', () => {
    assert.throws(() => check.integer('batchSize', 0, 1), {
      code: 'ERR_INVALID_ARGUMENT',
      message: 'batchSize: expected an integer of at least 1, got 0',
    })
  })
  it('suggest the nearest choice', () => {
    assert.throws(() => check.oneOf('optimizer', 'agd', ['sgd', 'adam']), /Did you mean 'sgd'\?/)
    assert.equal(closest('resent50', ['resnet50', 'vgg16']), 'resnet50')
    assert.equal(closest('banana', ['resnet50', 'vgg16']), undefined)
  })
  it('refuse an unknown option', () => {
    assert.throws(() => check.options('options', { bathSize: 1 }, ['batchSize']), /Did you mean 'batchSize'/)
  })
})
