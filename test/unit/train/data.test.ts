import assert from 'node:assert/strict'
import { DEFAULT_PREPROCESSING } from '../../../lib/image/preprocessing.js'
import { resizedTo } from '../../../lib/train/data.js'

describe('the preprocessing of training', () => {
  it("is the model's, except for changes by the options", () => {
    const unchanged = { inputSize: null, resize: null, interpolation: null }
    assert.deepEqual(resizedTo(DEFAULT_PREPROCESSING, unchanged), DEFAULT_PREPROCESSING)
    const changed = resizedTo(DEFAULT_PREPROCESSING, {
      inputSize: 112,
      resize: 'squish',
      interpolation: 'bicubic',
    })
    assert.deepEqual(changed, {
      ...DEFAULT_PREPROCESSING,
      resize: 128,
      crop: 112,
      mode: 'squish',
      interpolation: 'bicubic',
    })
  })
})
