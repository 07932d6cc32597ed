import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import sharp from 'sharp'
import { preprocess } from '../../lib/image/preprocess.js'
import type { PreprocessingName } from '../../lib/image/preprocessing.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

describe("the preprocessing of classification-pytorch, against Pillow's and torchvision's", () => {
  after(removeTemporaryFolders)

  it('gives the same bytes for images of any proportions', async function () {
    if (python === undefined) skip(this, NO_PYTHON)
    this.timeout(60_000)
    const folder = await temporaryFolder()
    const sizes = [
      ...[
        [224, 224],
        [500, 375],
        [375, 500],
        [333, 250],
        [101, 75],
        [30, 20],
        [640, 97],
        [223, 225],
        [1000, 667],
      ],
      ...[
        [7, 5],
        [449, 300],
        [300, 449],
        [225, 224],
      ],
    ] as [number, number][]
    for (const [width, height] of sizes) {
      const data = Uint8Array.from({ length: width * height * 3 }, (_, i) => (i * 37 + ((i * i) >> 9)) & 255)
      const image = sharp(data, { raw: { width, height, channels: 3 } })
      await image.png().toFile(join(folder, `${width}x${height}.png`))
    }
    const results = JSON.parse(runReference('letterbox.py', folder)) as Record<
      string,
      Record<PreprocessingName, string>
    >
    assert.equal(Object.keys(results).length, sizes.length)
    for (const [name, digests] of Object.entries(results)) {
      for (const [preprocessing, digest] of Object.entries(digests)) {
        const { data } = await preprocess(join(folder, name), preprocessing as PreprocessingName)
        assert.equal(createHash('sha256').update(data).digest('hex'), digest, `${name} by ${preprocessing}`)
      }
    }
  })
})
