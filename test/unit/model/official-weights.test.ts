import assert from 'node:assert/strict'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { createModel } from '../../../lib/model/create-model.js'
import { fetchWeights } from '../../../lib/weights/cache.js'
import { findWeights } from '../../../lib/weights/manifest.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'

describe('official weights in a folder of the user', function () {
  this.timeout(60_000)
  after(removeTemporaryFolders)
  let weightsDir: string
  before(async () => {
    weightsDir = await temporaryFolder()
  })

  /** Writes random weights to a file whose size the manifest does not know. */
  async function put(architecture: 'squeezenet1_1' | 'inception_v3', name: string): Promise<void> {
    using model = await createModel(architecture)
    await model.save(join(weightsDir, name), { format: 'state_dict' })
  }

  it('are found by their file name, and bring their classes', async () => {
    const weights = 'squeezenet1_1-f364aa15.pth'
    await put('squeezenet1_1', weights)
    using model = await createModel('squeezenet1_1', { weights, weightsDir })
    assert.equal(model.classes[207], 'golden retriever')
    assert.equal(await fetchWeights(findWeights(weights), { weightsDir }), join(weightsDir, weights))
  })

  it('are found in the folder that VISIONTORCH_WEIGHTS_DIR names', async () => {
    const entry = findWeights('squeezenet1_1-f364aa15.pth')
    process.env.VISIONTORCH_WEIGHTS_DIR = weightsDir
    try {
      assert.equal(await fetchWeights(entry), join(weightsDir, 'squeezenet1_1-f364aa15.pth'))
    } finally {
      delete process.env.VISIONTORCH_WEIGHTS_DIR
    }
  })

  it('are hashed on request', async () => {
    const entry = findWeights('squeezenet1_1-f364aa15.pth')
    await assert.rejects(fetchWeights(entry, { weightsDir, verify: true }), {
      code: 'ERR_DOWNLOAD_HASH',
      message: /starts with f364aa15, got/,
    })
  })

  it("come with torchvision's options and preprocessing", async () => {
    const weights = 'inception_v3_google-1a9a5a14.pth'
    await put('inception_v3', weights)
    using model = await createModel('inception_v3', { weights, weightsDir })
    assert.equal(model.summary().layers[0]!.name, 'transform_input')
    assert.equal(model.preprocessing.crop, 299)
    using plain = await createModel('inception_v3', { weights, weightsDir, transformInput: false })
    assert.notEqual(plain.summary().layers[0]!.name, 'transform_input')
    const foreign = join(weightsDir, 'mine.pth')
    await rename(join(weightsDir, weights), foreign)
    using own = await createModel('inception_v3', { weights: foreign })
    assert.notEqual(own.summary().layers[0]!.name, 'transform_input')
    assert.equal(own.preprocessing.crop, 299)
  })

  it('are an error if the folder does not exist', async () => {
    const entry = findWeights('squeezenet1_1-f364aa15.pth')
    await assert.rejects(fetchWeights(entry, { weightsDir: join(weightsDir, 'none') }), {
      code: 'ERR_FILE_NOT_FOUND',
      message: /weightsDir: expected a folder/,
    })
  })
})

describe('other names of networks', () => {
  it('are accepted', async () => {
    using model = await createModel('mobilenetv2', { numClasses: 2, widthMult: 0.25 })
    assert.equal(model.architecture, 'mobilenet_v2')
  })
})
