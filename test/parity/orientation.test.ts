import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decode } from '../../lib/image/decode.js'
import { preprocess } from '../../lib/image/preprocess.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

describe("autoOrient, against Pillow's ImageOps.exif_transpose and torchvision", function () {
  this.timeout(60_000)
  let folder: string
  let files: [string, { size: [number, number]; rgb: string; crop: string }][]
  before(async function () {
    if (python === undefined) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
    files = Object.entries(JSON.parse(runReference('orientations.py', folder)))
  })
  after(removeTemporaryFolders)

  for (const [extension, count] of Object.entries({ jpg: 41, png: 18, webp: 19, tif: 22 })) {
    it(`gives the same bytes for every orientation, as ${extension}`, async () => {
      const chosen = files.filter(([name]) => name.endsWith(`.${extension}`))
      assert.equal(chosen.length, count)
      for (const [name, { size, rgb, crop }] of chosen) {
        const path = join(folder, name)
        for (const input of [path, await readFile(path)]) {
          const pixels = await decode(input, { autoOrient: true })
          assert.deepEqual([pixels.width, pixels.height], size, name)
          assert.equal(sha256(pixels.data), rgb, name)
        }
        if (/xmp.*jpg/.test(name)) {
          const { width, height } = await decode(path, { autoOrient: true, fastDecode: 1000 })
          assert.deepEqual([width, height], size, `${name}, by sharp`)
        }
        const seen = await preprocess(path, { resize: 36, crop: 32, autoOrient: true })
        assert.equal(sha256(seen.data), crop, name)
      }
    })
  }

  it('turns AVIF images the same way', async () => {
    const chosen = files.filter(([name]) => name.endsWith('.avif'))
    assert.equal(chosen.length, 20)
    for (const [name, { size }] of chosen) {
      const { data, width, height } = await decode(join(folder, name), { autoOrient: true })
      assert.deepEqual([width, height], size, name)
      const reference = await readFile(join(folder, `${name}.rgb`))
      const sum = reference.reduce((sum, value, i) => sum + Math.abs(value - data[i]!), 0)
      // libheif and libavif convert YUV to RGB in different ways; a wrong orientation gives a mean difference of more
      // than 20.
      assert.ok(sum / data.length < 2, `${name}: ${sum / data.length} on average`)
    }
  })
})
