import assert from 'node:assert/strict'
import { epochUpdates } from '../../../lib/train/sampler.js'
import { deriveSeed, permutation } from '../../../lib/util/random.js'

describe('random choices', () => {
  it('derive a seed from several numbers, different for every combination', () => {
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
  it('has every image once, in updates of several batches', () => {
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

  it('joins a single image at the end to the batch before it, if batch norm would see it alone', () => {
    const sizes = (count: number, batchSize: number, accumulation: number, together: number) =>
      epochUpdates(count, batchSize, accumulation, 7, 0, { together }).map(update =>
        update.map(_ => _.length),
      )
    assert.deepEqual(sizes(9, 4, 1, 1), [[4], [5]])
    assert.deepEqual(sizes(3, 1, 1, 1), [[1], [1], [1]])
    assert.deepEqual(sizes(5, 1, 2, 2), [
      [1, 1],
      [1, 2],
    ])
    assert.deepEqual(sizes(5, 1, 3, 3), [
      [1, 1, 1],
      [1, 1],
    ])
    assert.deepEqual(sizes(7, 1, 4, 2), [
      [1, 1, 1, 1],
      [1, 2],
    ])
  })

  it('repeats each image, and has as many draws as there are images', () => {
    const [count, repetitions] = [40, 3]
    const order = epochUpdates(count, 8, 1, 7, 0, { repetitions }).flatMap(update =>
      update.flatMap(batch => [...batch]),
    )
    assert.equal(order.length, count)
    const once = epochUpdates(count, 8, 1, 7, 0).flatMap(update => update.flatMap(batch => [...batch]))
    for (const [i, sample] of order.entries()) {
      assert.equal(sample % count, once[Math.floor(i / repetitions)], 'the images come in the same order')
      assert.equal(Math.floor(sample / count), i % repetitions, 'each copy has an index of its own')
    }
  })

  it('if balanced, has each class equally often, and as many draws as there are images', () => {
    const labels = Array.from({ length: 101 }, (_, i) => (i < 90 ? 0 : i < 99 ? 1 : 2))
    const seen = new Map<number, number>()
    const extra = new Set<number>()
    for (let epoch = 0; epoch < 200; epoch++) {
      const order = epochUpdates(101, 8, 1, 7, epoch, { balancedBy: labels })
        .flat()
        .flatMap(batch => [...batch])
      assert.equal(order.length, 101)
      assert.equal(new Set(order).size, 101, 'every draw has an index of its own')
      const counts = [0, 0, 0]
      for (const index of order) {
        counts[labels[index % 101]!]!++
        seen.set(index % 101, (seen.get(index % 101) ?? 0) + 1)
      }
      assert.deepEqual(counts.toSorted(), [33, 34, 34], 'some class is one short')
      extra.add(counts.indexOf(33))
    }
    assert.equal(extra.size, 3)
    // In the long run, every image of a class occurs equally often: 200 x 33.67 draws over 90, 9 and 2 images.
    const draws = labels.map((_, i) => seen.get(i) ?? 0)
    for (const [label, size] of [90, 9, 2].entries()) {
      const expected = (200 * 101) / 3 / size
      const ofClass = draws.filter((_, i) => labels[i] === label)
      for (const count of ofClass)
        assert.ok(Math.abs(count - expected) < 5 * Math.sqrt(expected), `${ofClass}`)
    }
    const again = epochUpdates(101, 8, 1, 7, 3, { balancedBy: labels })
    assert.deepEqual(again, epochUpdates(101, 8, 1, 7, 3, { balancedBy: labels }))
  })

  it('depends only on the seed and the epoch', () => {
    assert.deepEqual(epochUpdates(50, 8, 1, 3, 4), epochUpdates(50, 8, 1, 3, 4))
    assert.notDeepEqual(epochUpdates(50, 8, 1, 3, 4), epochUpdates(50, 8, 1, 3, 5))
    assert.notDeepEqual(epochUpdates(50, 8, 1, 3, 4), epochUpdates(50, 8, 1, 4, 4))
  })
})
