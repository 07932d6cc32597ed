import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type Architecture, convertCheckpoint } from '../../lib/index.js'
import { createModel } from '../../lib/model/create-model.js'
import { native } from '../../lib/native/native.js'
import { fromTimm } from '../../lib/weights/timm.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

interface Reference {
  path: string
  /** timm's name of the network. */
  name: string
  side: number
  logits: number[]
}

describe("weights with timm's names", function () {
  this.timeout(300_000)
  let folder: string
  let references: Record<string, Reference>
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
    references = JSON.parse(runReference('timm_weights.py', 'write', folder))
  })
  after(removeTemporaryFolders)

  const differs = (ours: ArrayLike<number>, theirs: number[]) => {
    const largest = Math.max(...theirs.map(Math.abs))
    return Math.max(...theirs.map((value, i) => Math.abs(value - ours[i]!))) / Math.max(largest, 1)
  }

  it("give timm's logits", async () => {
    for (const [architecture, { path, name, side, logits }] of Object.entries(references)) {
      using model = await createModel(architecture as Architecture, {
        weights: path,
        device: 'cpu',
        ...fromTimm(name)!.options,
      })
      const batch = new (native().ImageBatch)(1, side, side, [0, 0, 0], [1, 1, 1])
      batch.setTensor(Float32Array.from({ length: 3 * side * side }, (_, i) => Math.sin(i)))
      const ours = await model.network.forward(batch, 1, 'logits')
      const difference = differs(ours, logits)
      assert.ok(difference < 1e-5, `${architecture}: ${difference}, ${ours} instead of ${logits}`)
    }
  })

  it('are written so that timm loads them with strict=True and computes the same logits', async () => {
    const files = Object.entries(references).map(([architecture, reference]) => ({
      architecture: architecture as Architecture,
      reference,
      output: join(folder, `${architecture}-back.safetensors`),
    }))
    for (const { architecture, reference, output } of files) {
      using model = await createModel(architecture, {
        weights: reference.path,
        device: 'cpu',
        ...fromTimm(reference.name)!.options,
      })
      const saved = join(folder, `${architecture}.pth`)
      await model.save(saved)
      await convertCheckpoint(saved, output, { names: 'timm', format: 'state_dict' })
    }
    const wanted = files.map(({ output, reference: { name, side } }) => ({ path: output, name, side }))
    const again = JSON.parse(runReference('timm_weights.py', 'read', JSON.stringify(wanted))) as number[][]
    for (const [i, { reference }] of files.entries()) assert.deepEqual(again[i], reference.logits)
  })

  it('do not exist for networks that timm builds differently', async () => {
    using model = await createModel('mobilenet_v3_small', { numClasses: 2, device: 'cpu' })
    const path = join(folder, 'model.pth')
    await model.save(path)
    await assert.rejects(convertCheckpoint(path, join(folder, 'timm.pth'), { names: 'timm' }), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /names: timm has no mobilenet_v3_small that computes the same/,
    })
  })
})
