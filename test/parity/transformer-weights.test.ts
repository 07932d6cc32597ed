import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createModel } from '../../lib/model/create-model.js'
import type { Model } from '../../lib/model/model.js'
import { native } from '../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

const smallVit = { patchSize: 16, numLayers: 2, numHeads: 2, hiddenDim: 48, mlpDim: 96 } as const

function floats(path: string): Float32Array {
  const { buffer, byteOffset, length } = readFileSync(path)
  return new Float32Array(buffer.slice(byteOffset, byteOffset + length))
}

describe("weights of vision transformers in forms other than torchvision's", function () {
  this.timeout(120_000)
  let folder: string
  let logits: Record<'vit' | 'swin', number[]>
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
    logits = JSON.parse(runReference('transformer_weights.py', folder))
  })
  after(removeTemporaryFolders)

  async function check(model: Model, size: number, expected: number[]) {
    assert.deepEqual(model.loadReport?.unexpected, [])
    assert.deepEqual(model.loadReport?.missing, [])
    assert.equal(model.untrained, false)
    const batch = new (native().ImageBatch)(2, size, size, [0, 0, 0], [1, 1, 1])
    batch.setTensor(floats(join(folder, `${size}.f32`)))
    const got = await model.network.forward(batch, 2, 'logits')
    const largest = Math.max(...expected.map(Math.abs))
    for (const [i, value] of expected.entries()) assert.ok(Math.abs(value - got[i]!) <= 1e-5 * largest)
  }

  it("loads a ViT with timm's names", async () => {
    using model = await createModel('vit_b_16', {
      weights: join(folder, 'vit.pth'),
      imageSize: 64,
      ...smallVit,
    })
    await check(model, 64, logits.vit)
  })

  it("loads a Swin Transformer with Microsoft's names and position matrices", async () => {
    using model = await createModel('swin_t', { weights: join(folder, 'swin.pth') })
    await check(model, 80, logits.swin)
  })

  it('interpolates the position embedding for another image size, as torchvision does', async () => {
    using model = await createModel('vit_b_16', {
      weights: join(folder, 'vit.pth'),
      imageSize: 96,
      ...smallVit,
    })
    assert.equal(model.preprocessing.crop, 96)
    const { data, shape } = (await model.stateDict()).get('encoder.pos_embedding')!
    assert.deepEqual(shape, [1, 37, 48])
    const expected = floats(join(folder, 'position.f32'))
    assert.equal(expected.length, data.length)
    for (const [i, value] of expected.entries()) assert.ok(Math.abs(value - Number(data[i])) <= 1e-6)
  })
})
