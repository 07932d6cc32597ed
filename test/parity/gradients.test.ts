import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from '../../lib/architectures.js'
import { createModel } from '../../lib/create-model.js'
import { native } from '../../lib/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { plainSgd } from '../support/plain-sgd.js'
import { python, pythonSkip, runReference } from '../support/python.js'

interface Case {
  architecture: Architecture
  /** MobileNetV2's layers. */
  setting: number[][] | null
  shape: [number, number, number]
  loss: number
  parameters: [name: string, values: number][]
}

function floats(path: string): Float32Array {
  const { buffer, byteOffset, length } = readFileSync(path)
  return new Float32Array(buffer.slice(byteOffset, byteOffset + length))
}

describe(`the gradients of one training step, against PyTorch in float64${pythonSkip}`, function () {
  this.timeout(600_000)
  if (python === undefined) {
    it.skip('needs Python')
    return
  }
  let folder: string
  let cases: Case[]
  before(async () => {
    folder = await temporaryFolder()
    cases = JSON.parse(runReference('gradients.py', folder))
  })
  after(removeTemporaryFolders)

  for (const wanted of ['resnet18', 'vgg11', 'mobilenet_v2'] as const)
    it(`${wanted}: are within 1e-4 of each parameter's largest`, async () => {
      const { architecture, setting, shape, loss, parameters } = cases.find(c => c.architecture === wanted)!
      const network = {
        ...(!architecture.startsWith('resnet') && { dropout: 0 }),
        ...(setting && { invertedResidualSetting: setting }),
      }
      using model = await createModel(architecture, {
        weights: join(folder, `${architecture}.pth`),
        numClasses: 10,
        ...network,
      })
      const batch = new (native().ImageBatch)(...shape, [0, 0, 0], [1, 1, 1])
      batch.setTensor(floats(join(folder, `${architecture}.images.f32`)))
      const before = await model.network.stateDict()
      const trainer = await native().createTrainer(model.network, plainSgd)
      // So large a rate that the difference of the weights is the gradient, and not rounding.
      const learningRate = 256
      const labels = Int32Array.from({ length: shape[0] }, (_, i) => i)
      const step = { learningRate, seed: 0, scale: 1, update: true, mixed: null }
      const result = await trainer.step(batch, labels, step)
      assert.ok(Math.abs(result.loss / loss - 1) <= 1e-5, `loss ${result.loss}, PyTorch ${loss}`)

      const after = await model.network.stateDict()
      const gradients = floats(join(folder, `${architecture}.gradients.f32`))
      let offset = 0
      for (const [name, count] of parameters) {
        const expected = gradients.subarray(offset, offset + count)
        offset += count
        const [from, to] = [before.get(name)!.data, after.get(name)!.data]
        let [largest, difference] = [0, 0]
        for (const [i, value] of expected.entries()) {
          largest = Math.max(largest, Math.abs(value))
          const gradient = (Number(from[i]) - Number(to[i])) / learningRate
          difference = Math.max(difference, Math.abs(value - gradient))
        }
        // A gradient that is zero but for rounding has no digits to compare.
        assert.ok(difference <= Math.max(1e-4 * largest, 3e-8), `${name}: ${difference} of ${largest}`)
      }
    })
})
