import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { decode } from '../../lib/image/decode.js'
import { evalTransform } from '../../lib/image/transform.js'
import { createModel } from '../../lib/model/create-model.js'
import type { Model } from '../../lib/model/model.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { hasShared, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'

const containers = {
  zip: 'zip file',
  legacy: 'legacy file',
  odd: 'legacy file at odd addresses',
  tar: 'tar file',
}
const photographs = ['dog1.jpg', 'dog2.jpg', 'astronaut.jpg', 'grace_hopper_517x606.jpg']

async function logitsOf(model: Model, paths: readonly string[]): Promise<Float32Array> {
  const batch = model.createBatch(paths.length)
  for (const [index, path] of paths.entries()) {
    const pixels = await decode(path)
    await batch.set(index, pixels, evalTransform(model.preprocessing, pixels))
  }
  return model.network.forward(batch, paths.length, 'logits')
}

describe(`predictions, against torchvision`, function () {
  this.timeout(600_000)
  before(function () {
    if (!python) skip(this, NO_PYTHON)
  })
  const images = hasShared ? photographs.map(name => shared(`data/assets/${name}`)) : []

  for (const architecture of ['resnet50', 'mobilenet_v2', 'vgg16', 'efficientnet_b0'] as const) {
    describe(architecture, () => {
      let folder: string
      let expected: Record<string, number[]>
      before(async () => {
        folder = await temporaryFolder()
        expected = JSON.parse(runReference('classify.py', folder, architecture, ...images))
      })
      after(removeTemporaryFolders)

      for (const [container, title] of Object.entries(containers)) {
        it(`the logits from a ${title} are within 1e-5 of the largest`, async () => {
          using model = await createModel(architecture, {
            weights: join(folder, `${container}.pth`),
            device: 'cpu',
          })
          const paths = Object.keys(expected)
          const logits = await logitsOf(model, paths)
          const { numClasses } = model
          for (const [row, path] of paths.entries()) {
            const largest = Math.max(...expected[path]!.map(Math.abs))
            const differences = expected[path]!.map((value, i) =>
              Math.abs(value - logits[row * numClasses + i]!),
            )
            assert.ok(
              Math.max(...differences) <= 1e-5 * largest,
              `${path}: ${Math.max(...differences)} of ${largest}`,
            )
          }
        })
      }

      it('weights at odd addresses are saved unchanged', async () => {
        const saved: Buffer[] = []
        for (const container of ['zip', 'odd']) {
          using model = await createModel(architecture, {
            weights: join(folder, `${container}.pth`),
            device: 'cpu',
          })
          const path = join(folder, 'saved.pth')
          await model.save(path, { format: 'state_dict' })
          saved.push(await readFile(path))
        }
        assert.ok(saved[0]!.equals(saved[1]!))
      })

      it('predict() returns the classes and probabilities of the softmax', async () => {
        using model = await createModel(architecture, { weights: join(folder, 'zip.pth'), device: 'cpu' })
        const predictions = await model.predict(Object.keys(expected), { topK: 3 })
        for (const [row, logits] of Object.values(expected).entries()) {
          const sum = logits.reduce((total, value) => total + Math.exp(value), 0)
          const largest = Math.max(...logits.map(Math.abs)) // a score is as exact as the logits
          const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]!)
          assert.deepEqual(
            predictions[row]!.map(({ index }) => index),
            order.slice(0, 3),
          )
          for (const { index, score } of predictions[row]!) {
            const difference = Math.abs(score - Math.exp(logits[index]!) / sum)
            assert.ok(difference <= 1e-5 * largest, `${difference} of ${score}, largest logit ${largest}`)
          }
        }
      })
    })
  }
})
