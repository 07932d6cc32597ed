import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { MAX_PIXELS } from '../../lib/image/decode.js'
import { native } from '../../lib/native/native.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

describe(`the JPEG decoder, against Pillow`, () => {
  it('gives the same bytes for every kind of JPEG that Pillow writes', async function () {
    if (!python) skip(this, NO_PYTHON)
    this.timeout(60_000)
    const folder = mkdtempSync(join(tmpdir(), 'visiontorch-'))
    try {
      const digests = JSON.parse(runReference('jpegs.py', folder)) as Record<string, string>
      assert.equal(Object.keys(digests).length, 200)
      for (const [name, digest] of Object.entries(digests)) {
        const pixels = await native().decodeFile(join(folder, name), MAX_PIXELS)
        assert.ok(pixels, `${name} is not decoded`)
        assert.equal(createHash('sha256').update(pixels.data).digest('hex'), digest, name)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
