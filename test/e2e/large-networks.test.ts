import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Architecture, createModel, loadModel, predict, train } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'

describe('the largest networks, from a .pth file with 1000 classes', function () {
  this.timeout(300_000)
  let root: string
  let photos: string
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos, { train: 2, val: 1 })
  })
  after(removeTemporaryFolders)

  for (const architecture of ['resnet50', 'vgg16'] satisfies Architecture[])
    it(`${architecture} trains for an epoch, and its best.pth predicts`, async () => {
      const weights = join(root, `${architecture}.pth`)
      {
        using model = await createModel(architecture, { numClasses: 1000, seed: 1 })
        await model.save(weights, { format: 'state_dict' })
      }
      const classes = ['checks', 'columns', 'rows']
      using model = await createModel(architecture, { weights, classes })
      const directory = join(root, architecture)
      const options = { epochs: 1, batchSize: 3, inputSize: 64, learningRate: 1e-3, report: false }
      const { history } = await train(model, { data: photos, directory, ...options })
      assert.equal(history.length, 1)
      assert.ok(history[0]!.trainLoss > 0 && history[0]!.trainLoss < 10, `loss ${history[0]!.trainLoss}`)
      await rm(join(directory, 'last.pth'))

      using best = await loadModel(join(directory, 'best.pth'))
      const image = join(photos, 'val/rows/0.png')
      const [expected, predicted] = [await predict(model, image), await predict(best, image)]
      assert.deepEqual(predicted.map(({ label }) => label).sort(), classes)
      assert.deepEqual(predicted, expected)
      await rm(directory, { recursive: true })
    })
})
