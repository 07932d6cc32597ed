import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { ImageBatch, Pixels } from '../../../lib/native/native.js'
import { Batcher } from '../../../lib/predict/batcher.js'

const pixels = (value: number): Pixels => ({ data: Uint8Array.of(value), width: 1, height: 1, channels: 1 })

/** A batcher with a fake network that doubles each image's byte when it is told to `finish` a batch. */
function setUp(size: number) {
  const counts: number[] = []
  const computed: number[][] = []
  const released: number[] = []
  const finishers: (() => void)[] = []
  let batches = 0
  const batcher = new Batcher(
    size,
    () => {
      batches++
      const values: number[] = []
      const set = async (index: number, { data }: Pixels) => {
        values[index] = data[0]!
      }
      return { capacity: size, height: 1, width: 1, set, setTensor() {}, values } as unknown as ImageBatch
    },
    async (batch, count) => {
      counts.push(count)
      const { values } = batch as unknown as { values: number[] }
      computed.push(values.slice(0, count))
      const result = Float32Array.from(values.slice(0, count), value => value * 2)
      await new Promise<void>(resolve => finishers.push(resolve))
      if (result.includes(26)) throw new Error('thirteen')
      return result
    },
  )
  const run = async (value: number, decoded?: Promise<unknown>, patient = false) => {
    const decode = async () => {
      await decoded
      return { pixels: pixels(value), transform: [], release: () => released.push(value) }
    }
    return (await batcher.run(decode, patient))[0]
  }
  const finish = async () => {
    await turn()
    finishers.shift()!()
    await turn()
  }
  return { run, finish, counts, computed, released, batches: () => batches }
}

describe('batching', () => {
  it('computes a single image at once', async () => {
    const { run, finish, counts } = setUp(4)
    const result = run(3)
    await finish()
    assert.equal(await result, 6)
    assert.deepEqual(counts, [1])
  })

  it('releases pixels as soon as they are transformed, before the network computes', async () => {
    const { run, finish, released } = setUp(4)
    const results = [1, 2].map(value => run(value))
    await turn()
    assert.deepEqual(released, [1, 2])
    await finish()
    await Promise.all(results)
  })

  it('merges calls that arrive while the network computes, and returns to each its own rows', async () => {
    const { run, finish, counts } = setUp(4)
    const first = run(1)
    await turn()
    const rest = [2, 3, 4].map(value => run(value))
    await finish()
    await finish()
    assert.deepEqual(await Promise.all([first, ...rest]), [2, 4, 6, 8])
    assert.deepEqual(counts, [1, 3])
  })

  it('never exceeds the size of a batch, and reuses batches', async () => {
    const { run, finish, counts, batches } = setUp(2)
    const results = Array.from({ length: 9 }, (_, value) => run(value))
    for (let i = 0; i < 5; i++) await finish()
    assert.deepEqual(await Promise.all(results), [0, 2, 4, 6, 8, 10, 12, 14, 16])
    assert.ok(counts.every(count => count <= 2))
    assert.ok(batches() <= 3)
  })

  it('waits with a batch for images of the same call that are still being decoded', async () => {
    const { run, finish, counts } = setUp(4)
    const results = [run(1, undefined, true), run(2, turn(), true)]
    await finish()
    assert.deepEqual(await Promise.all(results), [2, 4])
    assert.deepEqual(counts, [2])
  })

  it('puts the images of a call into its batches in order, however long each takes', async () => {
    const { run, finish, computed } = setUp(2)
    let decoded = () => {}
    const slow = new Promise<void>(resolve => (decoded = resolve))
    const results = [
      run(1, slow, true),
      run(2, undefined, true),
      run(3, turn(), true),
      run(4, undefined, true),
    ]
    await turn()
    await finish()
    decoded()
    await turn()
    await finish()
    assert.deepEqual(await Promise.all(results), [2, 4, 6, 8])
    assert.deepEqual(computed, [
      [3, 4],
      [1, 2],
    ])
  })

  it('fails only the image that cannot be decoded, and no longer waits for it', async () => {
    const { run, finish, counts } = setUp(4)
    const results = Promise.allSettled([
      run(1, undefined, true),
      run(2, Promise.reject(new Error('bad')), true),
    ])
    await finish()
    const [good, bad] = await results
    assert.deepEqual(good, { status: 'fulfilled', value: 2 })
    assert.equal(bad!.status, 'rejected')
    assert.deepEqual(counts, [1])
  })

  it('returns the other rows of a batch whose first image cannot be decoded', async () => {
    const { run, finish } = setUp(4)
    const results = Promise.allSettled([
      run(1, Promise.reject(new Error('bad')), true),
      run(2, undefined, true),
    ])
    await finish()
    const [bad, good] = await results
    assert.equal(bad!.status, 'rejected')
    assert.deepEqual(good, { status: 'fulfilled', value: 4 })
  })

  it('does not compute a batch without a single good image, and goes on', async () => {
    const { run, finish, counts } = setUp(2)
    const bad = () => run(1, Promise.reject(new Error('bad')), true)
    await Promise.allSettled([bad(), bad(), bad()])
    const result = run(2)
    await finish()
    assert.equal(await result, 4)
    assert.deepEqual(counts, [1])
  })

  it('fails only the images of a batch that cannot be computed, and computes the next one', async () => {
    const { run, finish } = setUp(1)
    const results = Promise.allSettled([run(13), run(1)])
    await finish()
    await finish()
    assert.deepEqual(
      (await results).map(({ status }) => status),
      ['rejected', 'fulfilled'],
    )
  })
})
