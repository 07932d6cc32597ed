import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decode } from '../../lib/image/decode.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

type Expected = { size: [number, number]; sha256: string; error?: never } | { error: string }

/** The largest difference from Pillow's pixels, of 255, because libheif and libtiff convert YUV to RGB in their own ways. */
const DIFFERENCES: Readonly<Record<string, [largest: number, mean: number]>> = {
  'near-420.avif': [16, 2.5],
  'near-photo.avif': [16, 3],
  'near-ycbcr-lzw.tif': [1, 0.5],
}
const AVIF_444: [number, number] = [1, 0.2]

describe('image files of many kinds, against Pillow', function () {
  this.timeout(120_000)
  let folder: string
  let files: [string, Expected][]
  before(async function () {
    if (python === undefined) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
    files = Object.entries(JSON.parse(runReference('image_files.py', folder)))
  })
  after(removeTemporaryFolders)

  for (const [extension, count] of Object.entries({
    bmp: 1000,
    pbm: 12,
    pgm: 6,
    ppm: 126,
    tif: 35,
    gif: 14,
    avif: 10,
  })) {
    it(`have the same pixels, or are refused, as ${extension} files`, async () => {
      const chosen = files.filter(([name]) => name.endsWith(`.${extension}`))
      assert.ok(chosen.length >= count, `${chosen.length} files`)
      for (const [name, expected] of chosen) {
        const path = join(folder, name)
        if (expected.error !== undefined) {
          await assert.rejects(decode(path), { code: 'ERR_IMAGE_DECODE' }, `${name}: ${expected.error}`)
          continue
        }
        const { data, width, height, channels } = await decode(path)
        assert.deepEqual([width, height, channels], [...expected.size, 3], name)
        if (name.startsWith('near-')) await assertNear(name, data)
        else assert.equal(createHash('sha256').update(data).digest('hex'), expected.sha256, name)
      }
    })
  }

  async function assertNear(name: string, data: Uint8Array): Promise<void> {
    const reference = await readFile(join(folder, `${name}.rgb`))
    let [largest, sum] = [0, 0]
    for (const [i, value] of reference.entries()) {
      const difference = Math.abs(value - data[i]!)
      largest = Math.max(largest, difference)
      sum += difference
    }
    const [most, mean] = DIFFERENCES[name] ?? AVIF_444
    const got = `${name}: ${largest} at most, ${sum / data.length} on average`
    assert.ok(largest <= most && sum / data.length <= mean, got)
  }
})
