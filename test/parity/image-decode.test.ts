import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { decode } from '../../lib/image/decode.js'
import { preprocess } from '../../lib/image/preprocess.js'
import { VisionTorchError } from '../../lib/util/errors.js'
import { hasShared, NO_SHARED, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'

interface Expected {
  mode?: string
  /** SHA-256 of Pillow's RGB bytes, and of torchvision's evaluation crop. */
  rgb?: string
  crop224?: string
  /** Why Pillow could not decode the file. */
  error?: string
}

const sha256 = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

describe('decoding and preprocessing, against Pillow', () => {
  if (!hasShared) {
    it('gives the same pixels', function () {
      skip(this, NO_SHARED)
    })
    return
  }
  const { _note, ...expected } = JSON.parse(
    readFileSync(shared('data/expected-pillow-9.4.0.json'), 'utf8'),
  ) as {
    _note: string
    [file: string]: Expected | string
  }
  for (const [file, entry] of Object.entries(expected) as [string, Expected][]) {
    if (entry.error === undefined) {
      it(`${file} (${entry.mode}) gives Pillow's pixels and torchvision's crop`, async () => {
        const { data, channels } = await decode(shared(`data/${file}`))
        assert.equal(channels, 3)
        assert.equal(sha256(data), entry.rgb, 'decoded pixels')
        const crop = await preprocess(shared(`data/${file}`), { autoOrient: false })
        assert.equal(sha256(crop.data), entry.crop224, 'evaluation crop')
      })
    } else {
      it(`${file}, which Pillow refuses, is refused or decoded without a crash`, async () => {
        try {
          const { width, height } = await decode(shared(`data/${file}`))
          console.log(`      only sharp decodes it: ${width}x${height} (Pillow: ${entry.error})`)
        } catch (error) {
          assert.ok(error instanceof VisionTorchError && error.code === 'ERR_IMAGE_DECODE', String(error))
        }
      })
    }
  }
})
