import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { inOrder, Loader } from '../../../lib/data/loader.js'
import type { ImageBatch, Pixels } from '../../../lib/native/native.js'
import { VisionTorchError } from '../../../lib/util/errors.js'

/** A batch that records its images. */
class FakeBatch implements ImageBatch {
  readonly capacity = 4
  readonly height = 1
  readonly width = 1
  slots: number[] = []
  async set(index: number, pixels: Pixels): Promise<void> {
    this.slots[index] = pixels.data[0]!
  }
  setTensor(): void {}
  getTensor = () => new Float32Array()
  async mix(): Promise<void> {}
}

describe('the loader', () => {
  const samples = Array.from({ length: 30 }, (_, i) => ({ path: `${i}`, label: i % 3 }))
  let made: number
  let decoding: number
  let mostDecoding: number

  const loader = (decode: (path: string) => Promise<void> = async () => {}) => {
    made = decoding = mostDecoding = 0
    return new Loader({
      samples,
      workers: 3,
      createBatch() {
        made++
        return new FakeBatch()
      },
      async decode({ path }) {
        mostDecoding = Math.max(mostDecoding, ++decoding)
        // Later images are often ready first.
        await sleep((Number(path) * 7) % 5)
        await decode(path).finally(() => decoding--)
        return { data: Uint8Array.of(Number(path)), width: 1, height: 1, channels: 3 }
      },
    })
  }

  async function contents(loader: Loader, plan: Uint32Array[]): Promise<number[][]> {
    const all: number[][] = []
    for await (const { images, labels, indices } of loader.batches(plan, () => [])) {
      assert.deepEqual(
        [...labels],
        Array.from(indices, i => i % 3),
      )
      all.push((images as FakeBatch).slots.slice(0, indices.length))
    }
    return all
  }

  it('returns the batches of a plan in order, whichever image is ready first', async () => {
    const plan = [Uint32Array.of(9, 2, 17, 4), Uint32Array.of(0, 29, 1), Uint32Array.of(5)]
    assert.deepEqual(
      await contents(loader(), plan),
      plan.map(indices => [...indices]),
    )
  })

  it('is bounded: it reuses few batches, and reads few images at once', async () => {
    const loading = loader()
    for (let epoch = 0; epoch < 3; epoch++) await contents(loading, inOrder(30, 4))
    assert.equal(made, 3)
    assert.equal(mostDecoding, 3)
  })

  it('fills the next batches while one is in use', async () => {
    const batches = loader().batches(inOrder(30, 4), () => [])
    const first = await batches.next()
    await sleep(100)
    assert.equal(decoding, 0)
    assert.equal(made, 3)
    assert.deepEqual((first.value!.images as FakeBatch).slots, [0, 1, 2, 3])
    await batches.return()
  })

  it("throws an image's error when its batch is due, and ends", async () => {
    const failing = loader(async path => {
      if (path === '6') throw new VisionTorchError('ERR_IMAGE_DECODE', '6: expected an image')
    })
    const seen: number[][] = []
    await assert.rejects(
      async () => {
        for await (const { indices } of failing.batches(inOrder(30, 4), () => [])) seen.push([...indices])
      },
      { code: 'ERR_IMAGE_DECODE' },
    )
    assert.deepEqual(seen, [[0, 1, 2, 3]])
    assert.equal(decoding, 0)
  })

  it('stops reading when its consumer stops', async () => {
    const read: string[] = []
    const loading = loader(async path => void read.push(path))
    for await (const _ of loading.batches(inOrder(30, 4), () => [])) break
    const count = read.length
    await sleep(30)
    assert.equal(read.length, count)
    assert.ok(count <= 12)
  })
})
