import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, rm, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { evaluate, loadModel, type Model, type TrainOptions, train } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder, writeFiles } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { skip } from '../support/skip.js'
import { onOneThread, smallNetwork } from '../support/small-network.js'

const classes = ['checks', 'columns', 'rows']

describe('training that cannot work', () => {
  onOneThread()
  let root: string
  let photos: string
  let model: Model
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos)
  })
  after(removeTemporaryFolders)
  beforeEach(async () => {
    model = await smallNetwork()
  })
  afterEach(() => model.dispose())

  let runs = 0
  const options = (more: TrainOptions = {}): TrainOptions & { directory: string } => ({
    data: photos,
    epochs: 1,
    batchSize: 8,
    inputSize: 32,
    directory: join(root, `run-${++runs}`),
    report: false,
    ...(more as object),
  })
  const refused = (given: TrainOptions, code: string, message: RegExp, of = model) =>
    assert.rejects(Promise.resolve(train(of, given)), { name: 'VisionTorchError', code, message })

  it('says that the model has another number of classes', async () => {
    using other = await smallNetwork({ classes: ['a', 'b', 'c', 'd', 'e'] })
    await refused(
      options(),
      'ERR_INVALID_ARGUMENT',
      /the model has 5 classes, but .*photos has 3 \(checks, columns, rows\).*replaceClassifier/,
      other,
    )
  })

  it('says that the model has other classes, and never confuses their order', async () => {
    using other = await smallNetwork({ classes: ['rows', 'columns', 'dots'] })
    await refused(options(), 'ERR_DATASET', /class 'checks' is not one of the model's 3 classes/, other)
    using turned = await smallNetwork({ classes: classes.toReversed() })
    await train(turned, options({ epochs: 20, optimizer: 'adam', learningRate: 0.01, augmentation: 'none' }))
    assert.deepEqual(turned.classes, classes.toReversed())
    assert.ok((await evaluate(turned, photos)).top1 >= 0.9)
  })

  it('names classes that were only numbered', async () => {
    using numbered = await smallNetwork({ classes: ['0', '1', '2'] })
    await train(numbered, options())
    assert.deepEqual(numbered.classes, classes)
  })

  it('says that there is no data', async () => {
    await refused(
      { directory: join(root, 'no') },
      'ERR_INVALID_ARGUMENT',
      /data: expected a folder of images/,
    )
    await refused(options({ data: join(root, 'nowhere') }), 'ERR_DATASET', /nowhere: no such folder/)
  })

  it('says that a batch is larger than the training set', async () => {
    await refused(
      options({ batchSize: 25 }),
      'ERR_INVALID_ARGUMENT',
      /batchSize: expected at most the 24 training images, got 25/,
    )
    await train(model, { ...options(), batchSize: undefined } as never) // the default of 32 adapts
  })

  it('says that batch norm cannot normalise a single image, before it trains', async () => {
    using deep = await smallNetwork({
      invertedResidualSetting: [[1, 16, 1, 1], ...[2, 2, 2, 2].map(stride => [2, 24, 1, stride])],
    })
    await refused(
      options({ batchSize: 1 }),
      'ERR_INVALID_ARGUMENT',
      /batchSize: with one image of 32 x 32 pixels, the batch norm features\.\S+ sees only one value .*at least 2 images/,
      deep,
    )
    await train(deep, options({ batchSize: 1, freezeEpochs: 1 })) // keeps the statistics
    const steps: number[] = []
    const run = train(deep, options({ batchSize: 23 }))
    for await (const event of run) if (event.type === 'step') steps.push(event.steps)
    assert.deepEqual(steps, [1]) // the 24th image joins the others
  })

  it('says which stages and names can be frozen', async () => {
    const invalid = 'ERR_INVALID_ARGUMENT'
    await refused(
      options({ freeze: 6 }),
      invalid,
      /freeze: expected at most 5 stages \(features\.0, .*features\.4\), got 6/,
    )
    await refused(
      options({ freeze: 'layer1.' }),
      invalid,
      /freeze: no parameter's name starts with 'layer1\.'; the stages are features\.0, /,
    )
  })

  it('says that float16 needs a GPU', async () => {
    await refused(options({ dtype: 'float16' }), 'ERR_INVALID_ARGUMENT', /dtype: 'float16' needs a GPU/)
  })

  it('says which annotated image does not exist, before it trains', async () => {
    const folder = join(root, 'annotated')
    await writeFiles(folder, {
      'cls_classes.txt': `${classes.join('\n')}\n`,
      'cls_train.txt': `0;${photos}/train/checks/0.png\n1;gone/1.png\n2;${photos}/train/rows/0.png\n`,
      'cls_val.txt': `0;${photos}/val/checks/0.png\n`,
    })
    await refused(
      options({ data: join(folder, 'cls_train.txt') }),
      'ERR_DATASET',
      /annotated: 1 of the 4 annotated images do not exist; the first is .*gone\/1\.png\. .*visiontorch annotate/,
    )
  })

  it('stops when the loss becomes NaN, says where, and keeps the last checkpoint', async () => {
    const given = options({ epochs: 3, learningRate: 1e30, optimizer: { name: 'sgd', momentum: 0 } })
    await refused(
      given,
      'ERR_NON_FINITE_LOSS',
      /the loss became (NaN|Infinity) in epoch 1, step \d, at the learning rate .*smaller learning rate/,
    )
    using last = await loadModel(join(given.directory, 'last.pth'))
    const { data } = (await last.stateDict()).get('features.0.0.weight')!
    assert.ok((data as Float32Array).every(Number.isFinite))
  })

  it('says that the directory cannot be written, before it trains', async () => {
    await writeFile(join(root, 'file'), '')
    await refused(options({ directory: join(root, 'file') }), 'ERR_FILE_WRITE', /cannot write .*file/)
  })

  it('says that the disk is full, before it trains', async function () {
    const disk = join(root, 'disk')
    await mkdir(disk)
    // Only root may mount a small disk.
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', disk]).status !== 0) {
      skip(this, 'a small disk cannot be mounted here')
    }
    try {
      await refused(options({ directory: join(disk, 'run') }), 'ERR_FILE_WRITE', /last\.pth.*Free some space/)
    } finally {
      spawnSync('umount', [disk])
    }
  })

  it('does not overwrite a run', async () => {
    const given = options()
    await train(model, given)
    await refused(given, 'ERR_INVALID_ARGUMENT', /already holds a run. Continue it with resume/)
  })

  it('does not train a model twice at once', async () => {
    const first = train(model, options())
    await refused(options(), 'ERR_INVALID_ARGUMENT', /already being trained/)
    await first
    await train(model, options())
  })

  it('does not resume from weights alone', async () => {
    const path = join(root, 'weights.pth')
    await model.save(path, { format: 'state_dict' })
    await refused(
      options({ resume: path }),
      'ERR_CHECKPOINT_MISMATCH',
      /expected a checkpoint that training can continue/,
    )
    await refused(options({ resume: join(root, 'none.pth') }), 'ERR_FILE_NOT_FOUND', /none\.pth/)
  })

  describe('because an image is missing', () => {
    let broken: string
    beforeEach(async () => {
      broken = join(root, 'broken')
      await drawPhotos(broken)
      await truncate(join(broken, 'train/rows/3.png'), 100)
    })
    afterEach(() => rm(broken, { recursive: true }))

    it('names the file', () =>
      refused(
        options({ data: broken }),
        'ERR_IMAGE_DECODE',
        /train.rows.3\.png: expected an image, but it is damaged/,
      ))

    it('skips the image on request, and says so', async () => {
      const warnings: string[] = []
      let images: number | undefined
      const run = train(model, options({ data: broken, onUnreadable: 'skip' }))
      for await (const event of run) {
        if (event.type === 'warning') warnings.push(event.message)
        if (event.type === 'start') images = event.trainImages
      }
      assert.equal(images, 23)
      assert.equal(warnings.length, 1)
      assert.match(warnings[0]!, /skipped: .*3\.png/)
    })
  })
})
