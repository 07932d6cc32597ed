import assert from 'node:assert/strict'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { evaluate } from '../../../lib/evaluate/evaluate.js'
import { decode } from '../../../lib/image/decode.js'
import { preprocess } from '../../../lib/image/preprocess.js'
import { readCheckpoint, writeCheckpoint } from '../../../lib/model/checkpoint.js'
import { loadModel } from '../../../lib/model/create-model.js'
import type { CheckpointValue } from '../../../lib/native/native.js'
import type { TrainOptions } from '../../../lib/train/options.js'
import { train } from '../../../lib/train.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { tinyModel } from '../../support/tiny-model.js'

const classes = ['checks', 'columns', 'rows']

describe('autoOrient', () => {
  let root: string
  /** Photographs that are upright only by their EXIF orientation, and the same pixels stored upright. */
  let turned: string
  let upright: string
  let cacheHome: string | undefined
  before(async () => {
    root = await temporaryFolder()
    turned = join(root, 'turned')
    upright = join(root, 'upright')
    await drawPhotos(join(root, 'drawn'), { train: 4, val: 2 })
    for (const split of ['train', 'val']) {
      for (const name of classes) {
        const [from, a, b] = ['drawn', 'turned', 'upright'].map(folder => join(root, folder, split, name))
        for (const folder of [a!, b!]) await mkdir(folder, { recursive: true })
        for (const [i, file] of (await readdir(from!)).entries()) {
          const orientation = 2 + (i % 7)
          const jpeg = await sharp(join(from!, file))
            .extract({ left: 0, top: 0, width: 40, height: 33 })
            .withMetadata({ orientation })
            .jpeg()
            .toBuffer()
          await writeFile(join(a!, `${i}.jpg`), jpeg)
          const { data, ...raw } = await decode(jpeg, { autoOrient: true })
          await sharp(data, { raw: { ...raw, channels: 3 } })
            .png()
            .toFile(join(b!, `${i}.png`))
        }
      }
    }
    cacheHome = process.env.XDG_CACHE_HOME
    process.env.XDG_CACHE_HOME = join(root, 'cache')
  })
  after(async () => {
    if (cacheHome === undefined) delete process.env.XDG_CACHE_HOME
    else process.env.XDG_CACHE_HOME = cacheHome
    await removeTemporaryFolders()
  })

  const files = (folder: string, extension: string) =>
    classes.map(name => join(folder, 'val', name, `1.${extension}`))

  let runs = 0
  async function trained(data: string, options: TrainOptions = {}) {
    const model = await tinyModel({ classes })
    const directory = join(root, `run-${++runs}`)
    await train(model, { data, directory, epochs: 1, batchSize: 4, report: false, seed: 3, ...options })
    return { model, directory, weights: [...(await model.stateDict())].map(([, { data }]) => data) }
  }

  it('is on for new models: predict (one and many), features and evaluate see images upright', async () => {
    using model = await tinyModel({ classes })
    assert.equal(model.preprocessing.autoOrient, true)
    const [a, b] = [files(turned, 'jpg'), files(upright, 'png')]
    assert.deepEqual(await model.predict(a), await model.predict(b))
    assert.deepEqual(await model.predict(a[0]!), await model.predict(b[0]!))
    assert.deepEqual(await model.features(a), await model.features(b))
    const [{ loss }, { loss: same }] = [await evaluate(model, turned), await evaluate(model, upright)]
    assert.equal(loss, same)
    model.preprocessing = { ...model.preprocessing, autoOrient: false }
    assert.notDeepEqual(await model.predict(a), await model.predict(b))
    assert.notEqual((await evaluate(model, turned)).loss, loss)
  })

  it('trains to the same weights on turned and on upright images, with any cache', async () => {
    const { weights } = await trained(upright)
    for (const cache of ['none', 'memory', 'disk', 'disk'] as const)
      assert.deepEqual((await trained(turned, { cache })).weights, weights, cache)
    // The cache on disk now has pixels that do not belong to this run.
    const off = await trained(turned, { cache: 'disk', autoOrient: false })
    assert.deepEqual(off.weights, (await trained(turned, { autoOrient: false })).weights)
    assert.notDeepEqual(off.weights, weights)
  })

  it('is saved with the model', async () => {
    for (const autoOrient of [true, false]) {
      const { directory } = await trained(turned, { autoOrient })
      for (const name of ['best.pth', 'last.pth']) {
        using model = await loadModel(join(directory, name))
        assert.equal(model.preprocessing.autoOrient, autoOrient)
      }
    }
  })

  it('is off with the preset of classification-pytorch, unless asked for', async () => {
    const preset = { preset: 'classification-pytorch', epochs: 1, freezeEpochs: 0 } as const
    assert.equal((await trained(turned, preset)).model.preprocessing.autoOrient, false)
    const asked = await trained(turned, { ...preset, autoOrient: true })
    assert.equal(asked.model.preprocessing.autoOrient, true)
  })

  it('is off for a checkpoint from before the option existed, even if its run resumes', async () => {
    const options = { schedule: 'constant', autoOrient: false } as const
    const { weights } = await trained(turned, { ...options, epochs: 2 })
    const { directory: half } = await trained(turned, { ...options, epochs: 1 })
    const last = join(half, 'last.pth')
    const content = (await readCheckpoint(last)) as Map<CheckpointValue, CheckpointValue>
    ;(content.get('preprocessing') as typeof content).delete('autoOrient')
    const training = content.get('training') as typeof content
    ;(training.get('options') as typeof content).delete('autoOrient')
    await writeCheckpoint(last, content)
    using model = await loadModel(last)
    assert.equal(model.preprocessing.autoOrient, false)
    // A new model, for which the option is on, continues the run unchanged.
    using resumed = await tinyModel({ classes })
    await train(resumed, { resume: true, directory: half, epochs: 2 })
    assert.equal(resumed.preprocessing.autoOrient, false)
    assert.deepEqual(
      [...(await resumed.stateDict())].map(([, { data }]) => data),
      weights,
    )
  })

  it('is an option of preprocess()', async () => {
    const [jpg] = files(turned, 'jpg')
    const [png] = files(upright, 'png')
    assert.deepEqual(await preprocess(jpg!), await preprocess(png!))
    assert.notDeepEqual(await preprocess(jpg!, { autoOrient: false }), await preprocess(png!))
    await assert.rejects(preprocess(jpg!, { autoOrient: 1 } as never), {
      code: 'ERR_INVALID_ARGUMENT',
      message: 'preprocessing.autoOrient: expected true or false, got 1',
    })
  })
})

describe('model.preprocessing', () => {
  after(removeTemporaryFolders)

  it("accepts the name of another program's preprocessing, and saves its meaning", async () => {
    using model = await tinyModel({ classes })
    model.preprocessing = 'classification-pytorch-letterbox'
    const expected = {
      mode: 'letterbox',
      interpolation: 'bicubic',
      crop: 224,
      fill: [128, 128, 128],
      autoOrient: false,
    }
    for (const [key, value] of Object.entries(expected))
      assert.deepEqual(model.preprocessing[key as keyof typeof model.preprocessing], value, key)
    const path = join(await temporaryFolder(), 'model.pth')
    await model.save(path)
    using loaded = await loadModel(path)
    assert.deepEqual(loaded.preprocessing, model.preprocessing)
  })
})
