import assert from 'node:assert/strict'
import { pathToFileURL } from 'node:url'
import { PredictionError } from '../../../lib/predict/predict.js'
import { VisionTorchError } from '../../../lib/util/errors.js'

describe('errors', () => {
  it('are recognised even if another copy of visiontorch in the process made them', async () => {
    const url = `${pathToFileURL('dist/util/errors.js')}?copy`
    const copy = ((await import(url)) as { VisionTorchError: typeof VisionTorchError }).VisionTorchError
    assert.notEqual(copy, VisionTorchError)
    assert.ok(new copy('ERR_DEVICE', 'x') instanceof VisionTorchError)
    assert.ok(new VisionTorchError('ERR_DEVICE', 'x') instanceof copy)
  })
  it('are distinguished from errors of other programs, and of a subclass from other errors', () => {
    assert.ok(!(new Error('x') instanceof VisionTorchError))
    assert.ok(!((null as unknown) instanceof VisionTorchError))
    assert.ok(!(new VisionTorchError('ERR_DEVICE', 'x') instanceof PredictionError))
    const error = new PredictionError(new Map([[0, new VisionTorchError('ERR_DEVICE', 'x')]]), [])
    assert.ok(error instanceof PredictionError && error instanceof VisionTorchError)
  })
})
