import assert from 'node:assert/strict'
import { epochUpdates } from '../../../lib/train/sampler.js'
import { deriveSeed, permutation } from '../../../lib/util/random.js'

describe('random choices', () => {
  it('derive one seed from several numbers, a different one from every combination', () => {
    assert.equal(deriveSeed(1, 2), deriveSeed(1, 2))
    const seeds = new Set<number>()
    for (let a = 0; a < 100; a++) for (let b = 0; b < 100; b++) seeds.add(deriveSeed(a, b))
    assert.equal(seeds.size, 10_000)
    assert.notEqual(deriveSeed(2 ** 32 + 1), deriveSeed(1))
  })

  it('shuffle evenly', () => {
    const firsts = new Array<number>(5).fill(0)
    for (let seed = 0; seed < 5000; seed++) firsts[permutation(5, deriveSeed(seed))[0]!]!++
    for (const count of firsts) assert.ok(count > 850 && count < 1150, `${firsts}`)
  })
})

describe('the order of an epoch', () => {
  it('holds every image once, in updates of several batches', () => {
    const updates = epochUpdates(23, 4, 2, 7, 0)
    assert.deepEqual(
      updates.map(update => update.map(batch => batch.length)),
      [
        [4, 4],
        [4, 4],
        [4, 3],
      ],
    )
    const seen = updates.flatMap(update => update.flatMap(batch => [...batch]))
    assert.deepEqual(
      seen.sort((a, b) => a - b),
      [...Array(23).keys()],
    )
  })

  it('repeats each image, and ends after as many as there are', () => {
    const [count, repetitions] = [40, 3]
    const order = epochUpdates(count, 8, 1, 7, 0, repetitions).flatMap(update =>
      update.flatMap(batch => [...batch]),
    )
    assert.equal(order.length, count)
    const once = epochUpdates(count, 8, 1, 7, 0).flatMap(update => update.flatMap(batch => [...batch]))
    for (const [i, sample] of order.entries()) {
      assert.equal(sample % count, once[Math.floor(i / repetitions)], 'the images come in the same order')
      assert.equal(Math.floor(sample / count), i % repetitions, 'each copy has an index of its own')
    }
  })

  it('depends on seed and epoch alone', () => {
    assert.deepEqual(epochUpdates(50, 8, 1, 3, 4), epochUpdates(50, 8, 1, 3, 4))
    assert.notDeepEqual(epochUpdates(50, 8, 1, 3, 4), epochUpdates(50, 8, 1, 3, 5))
    assert.notDeepEqual(epochUpdates(50, 8, 1, 3, 4), epochUpdates(50, 8, 1, 4, 4))
  })
})
