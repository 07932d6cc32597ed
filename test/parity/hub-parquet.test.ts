import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import zlib from 'node:zlib'
import { decodeSample } from '../../lib/data/decode-sample.js'
import { fromParquet } from '../../lib/data/parquet.js'

const folder = join(import.meta.dirname, '../fixtures/hub')
const expected: { label: string; rgb: string }[] = JSON.parse(
  readFileSync(join(folder, 'expected.json'), 'utf8'),
)

describe("Parquet files written by Hugging Face's library", () => {
  for (const compression of ['default', 'snappy', 'gzip', 'brotli', 'zstd', 'none']) {
    it(`have the same images and labels with ${compression} compression`, async () => {
      const path = join(folder, `${compression}.parquet`)
      if (compression === 'zstd' && !('zstdDecompressSync' in zlib)) {
        await assert.rejects(fromParquet(path), { code: 'ERR_DATASET', message: /needs Node 22\.15/ })
        return
      }
      const { classes, splits } = await fromParquet(path, { valFraction: 0 })
      assert.deepEqual(classes, ['tabby cat', 'beagle', 'ünknown, bird'])
      const samples = splits.get('train')!
      const got = samples.map(async sample => {
        const { data } = await decodeSample(sample, {})
        return { label: classes[sample.label], rgb: createHash('sha256').update(data).digest('hex') }
      })
      assert.deepEqual(await Promise.all(got), expected)
    })
  }
})
