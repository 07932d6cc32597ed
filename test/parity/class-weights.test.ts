import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { classWeights } from '../../lib/train/data.js'

const fixture = JSON.parse(readFileSync(new URL('../fixtures/metrics.json', import.meta.url), 'utf8')) as {
  made_by: string
  balanced: { labels: number[]; weights: number[] }
}

describe('class weights', () => {
  const samples = fixture.balanced.labels.map(label => ({ path: '', label }))
  const classes = ['a', 'b', 'c', 'd']

  it(`that are balanced equal compute_class_weight of ${fixture.made_by}`, () => {
    assert.deepEqual(classWeights('balanced', samples, classes), Float32Array.from(fixture.balanced.weights))
  })

  it('must have one weight per class', () => {
    assert.deepEqual(classWeights([1, 2, 3, 4], samples, classes), Float32Array.of(1, 2, 3, 4))
    assert.throws(() => classWeights([1, 2], samples, classes), {
      code: 'ERR_INVALID_ARGUMENT',
      message: 'classWeights: expected a number for each of the 4 classes, got 2',
    })
  })
})
