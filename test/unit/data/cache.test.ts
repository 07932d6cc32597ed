import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { diskCache, memoryCache } from '../../../lib/data/cache.js'
import type { Sample } from '../../../lib/data/dataset.js'
import type { Pixels } from '../../../lib/native/native.js'

const sample = (path: string): Sample => ({ path, label: 0 })

describe('the cache of decoded images', () => {
  let decoded: string[]
  const decode = async ({ path }: Sample): Promise<Pixels> => {
    decoded.push(path)
    return { data: Uint8Array.from({ length: 12 }, (_, i) => i), width: 2, height: 2, channels: 3 }
  }
  beforeEach(() => {
    decoded = []
  })

  it('in memory decodes a file once', async () => {
    const cached = memoryCache(decode, 1000)
    assert.deepEqual(await cached(sample('a')), await cached(sample('a')))
    await cached(sample('b'))
    assert.deepEqual(decoded, ['a', 'b'])
  })

  it('in memory stays within its budget', async () => {
    const cached = memoryCache(decode, 15)
    for (const path of ['a', 'b', 'a', 'b']) await cached(sample(path))
    assert.deepEqual(decoded, ['a', 'b', 'b'])
  })

  describe('on disk', () => {
    let directory: string
    let image: string
    beforeEach(async () => {
      directory = await mkdtemp(join(tmpdir(), 'visiontorch-cache-'))
      image = join(directory, 'image.jpg')
      await writeFile(image, 'some bytes')
    })
    afterEach(() => rm(directory, { recursive: true }))

    it('returns the same pixels in a later run', async () => {
      const first = await diskCache(decode, join(directory, 'cache'))(sample(image))
      const second = await diskCache(decode, join(directory, 'cache'))(sample(image))
      assert.deepEqual({ ...second, data: [...second.data] }, { ...first, data: [...first.data] })
      assert.equal(decoded.length, 1)
    })

    it('notices a changed file', async () => {
      const cached = diskCache(decode, join(directory, 'cache'))
      await cached(sample(image))
      await utimes(image, 1, 1)
      await cached(sample(image))
      assert.equal(decoded.length, 2)
    })

    it('identifies an image without a file of its own by its content', async () => {
      const cached = diskCache(decode, join(directory, 'cache'))
      const inArchive = (path: string, content: string): Sample => ({
        ...sample(path),
        read: async () => Buffer.from(content),
      })
      await cached(inArchive('a.tar/1.jpg', 'one'))
      await cached(inArchive('a.tar/2.jpg', 'two'))
      await cached(inArchive('b.tar/1.jpg', 'one'))
      assert.deepEqual(decoded, ['a.tar/1.jpg', 'a.tar/2.jpg'])
    })

    it('distinguishes pixels that are made in different ways', async () => {
      await diskCache(decode, join(directory, 'cache'))(sample(image))
      await diskCache(decode, join(directory, 'cache'), ' upright')(sample(image))
      assert.equal(decoded.length, 2)
    })

    it('does not trust a truncated file', async () => {
      const cached = diskCache(decode, join(directory, 'cache'))
      await cached(sample(image))
      const [file] = await readdir(join(directory, 'cache'))
      await truncate(join(directory, 'cache', file!), 15)
      assert.equal((await cached(sample(image))).data.length, 12)
      assert.equal(decoded.length, 2)
    })

    it('names the path that cannot be written', async () => {
      const cached = diskCache(decode, join(image, 'cache'))
      await assert.rejects(cached(sample(image)), {
        code: 'ERR_FILE_WRITE',
        message: /part of the path is a file/,
      })
    })
  })
})
