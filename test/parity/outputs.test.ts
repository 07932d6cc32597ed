import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from '../../lib/model/architectures.js'
import { createModel } from '../../lib/model/create-model.js'
import { native } from '../../lib/native/native.js'
import { runtimeInfo } from '../../lib/native/runtime.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { fixture, skipIfLarge } from '../support/networks.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

/** Image sizes of families that do not accept the usual ones. */
// In training, Inception's auxiliary head would reduce smaller images to nothing.
const sizesOf: Record<string, number[]> = {
  inception_v3: [299, 331],
  vision_transformer: [224],
  maxvit: [224],
}

/** The results for images of one size. */
interface Outputs {
  images: number
  logits: number[]
  /** The difference of PyTorch's logits in float32 from these, as a fraction of the largest. */
  deviation: number
}

describe('the logits of every network, against torchvision in float64', function () {
  this.timeout(600_000)
  before(function () {
    if (!python) skip(this, NO_PYTHON)
  })

  for (const { name, architectures } of native().families()) {
    describe(name, () => {
      const sizes = sizesOf[name] ?? [129, 224]
      let folder: string
      let expected: Record<string, Record<string, Outputs>>
      before(async () => {
        folder = await temporaryFolder()
        const run = architectures.filter(
          architecture =>
            fixture.structure[architecture]!.parameters <= 1e8 || process.env.VISIONTORCH_TEST_LARGE,
        )
        expected = JSON.parse(runReference('outputs.py', folder, sizes.join(','), ...run))
      })
      after(removeTemporaryFolders)

      /**
       * For each size, the largest difference from the expected logits as a fraction of the largest logit, and PyTorch's
       * difference.
       */
      async function deviations(architecture: string, dtype: 'float32' | 'bfloat16') {
        using model = await createModel(architecture as Architecture, {
          weights: join(folder, `${architecture}.pth`),
          numClasses: 10,
          device: 'cpu',
          dtype,
        })
        const result: { ours: number; pytorch: number }[] = []
        for (const [size, { images, logits, deviation }] of Object.entries(expected[architecture]!)) {
          const batch = new (native().ImageBatch)(images, +size, +size, [0, 0, 0], [1, 1, 1])
          const { buffer, byteOffset, length } = readFileSync(join(folder, `${size}.f32`))
          batch.setTensor(new Float32Array(buffer.slice(byteOffset, byteOffset + length)))
          const ours = await model.network.forward(batch, images, 'logits')
          const difference = Math.max(...logits.map((value, i) => Math.abs(value - ours[i]!)))
          result.push({ ours: difference / Math.max(...logits.map(Math.abs)), pytorch: deviation })
        }
        return result
      }

      for (const architecture of architectures) {
        it(`${architecture}: within 1e-5 of the largest, or as exact as PyTorch's in float32`, async function () {
          skipIfLarge(this, architecture)
          for (const { ours, pytorch } of await deviations(architecture, 'float32'))
            assert.ok(ours <= Math.max(1e-5, pytorch), `${ours} of the largest logit, PyTorch ${pytorch}`)
        })
      }

      it(`${architectures[0]}, in bfloat16: within 10% of the largest`, async function () {
        skipIfLarge(this, architectures[0]!)
        if (!runtimeInfo().bfloat16) skip(this, 'this processor does not have avx512_bf16')
        for (const { ours } of await deviations(architectures[0]!, 'bfloat16'))
          assert.ok(ours <= 0.1, `${ours} of the largest logit`)
      })
    })
  }
})
