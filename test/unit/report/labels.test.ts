import assert from 'node:assert/strict'
import { shortLabels } from '../../../lib/report/labels.js'

describe('short names of classes', () => {
  it('are the full names if there is room', () => {
    assert.deepEqual(shortLabels(['cat', 'dog'], 10), ['cat', 'dog'])
  })

  it('lose their middle', () => {
    assert.deepEqual(shortLabels(['Canis lupus familiaris'], 13), ['Canis lu…aris'])
  })

  it('show where names differ that start and end alike', () => {
    const names = ['red', 'blue'].map(color => `a quite long beginning, ${color}, and a quite long end`)
    assert.deepEqual(shortLabels(names, 20), ['a qui…g, red, and a…', 'a qui…g, blue, and …'])
  })

  it('are never equal, and never too long', () => {
    const names = Array.from({ length: 500 }, (_, i) => `${'x'.repeat(40)}${i % 20}${'y'.repeat(40)}${i}`)
    const short = shortLabels(names, 24)
    assert.equal(new Set(short).size, 500)
    assert.ok(short.every(name => name.length <= 24))
  })

  it('count wide letters twice', () => {
    assert.deepEqual(shortLabels(['猫猫猫猫犬犬犬犬'], 9), ['猫猫猫…犬'])
  })
})
