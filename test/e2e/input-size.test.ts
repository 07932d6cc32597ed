import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { evaluate, loadModel, train } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { tinyModel } from '../support/tiny-model.js'

const run = promisify(execFile)
const visiontorch = (...args: string[]) => run(process.execPath, ['dist/cli/main.js', ...args])

describe('an input that is not square', () => {
  let root: string
  let photos: string
  let checkpoint: string
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos, { train: 4, val: 2 })
    checkpoint = join(root, 'run/best.pth')
  })
  after(removeTemporaryFolders)

  it('is trained on, saved, and obeyed by evaluate, predict and a resumed run', async () => {
    const options = { data: photos, epochs: 1, batchSize: 4, report: false, directory: join(root, 'run') }
    {
      using model = await tinyModel({ classes: ['checks', 'columns', 'rows'] })
      await train(model, { ...options, inputSize: [32, 48], augmentation: { cutmix: 1, randomErasing: 1 } })
      assert.deepEqual(model.preprocessing.crop, [32, 48])
    }
    using model = await loadModel(checkpoint, { device: 'cpu' })
    assert.deepEqual(
      [model.preprocessing.resize, model.preprocessing.crop],
      [
        [36, 54],
        [32, 48],
      ],
    )
    assert.deepEqual(model.summary().layers[0]!.outputShape, [8, 16, 24])
    const { loss } = await evaluate(model, photos)
    await train(model, { ...options, epochs: 2, inputSize: [32, 48], resume: true })
    assert.deepEqual(model.preprocessing.crop, [32, 48])
    model.preprocessing = { ...model.preprocessing, crop: 32 }
    assert.notEqual((await evaluate(model, photos)).loss, loss)
  })

  it('is a height and a width on the command line', async () => {
    const network = ['--model', 'squeezenet1_1', '--weights', 'none', '--threads', '1']
    const out = join(root, 'command')
    await visiontorch(
      ...['train', photos, ...network, '--input-size', '32x48', '--epochs', '1', '--no-report', '--out', out],
    )
    const saved = join(out, 'last.pth')
    const summary = JSON.parse((await visiontorch('summary', '--checkpoint', saved, '--json')).stdout)
    assert.deepEqual(summary.inputSize, [32, 48])
    const [image] = (await readdir(join(photos, 'val/rows'))).map(name => join(photos, 'val/rows', name))
    const predicted = async (...args: string[]) =>
      JSON.parse((await visiontorch('predict', image!, '--checkpoint', saved, '--json', ...args)).stdout)
    using model = await loadModel(saved, { device: 'cpu' })
    const [[ours]] = [await model.predict([image!], { topK: 3 })]
    assert.deepEqual((await predicted())[0].predictions, ours)

    const sheet = join(root, 'preview.png')
    await visiontorch('preview', photos, '--batch-size', '1', '--input-size', '32x96', '--out', sheet)
    const { width, height } = await sharp(sheet).metadata()
    assert.ok(width >= 96 && height < width, `${width} x ${height}`)

    const refused = (...args: string[]) =>
      visiontorch(...args).then(
        () => assert.fail('accepted'),
        ({ stderr }: { stderr: string }) => stderr,
      )
    assert.match(
      await refused('train', photos, '--model', 'vit_b_16', '--weights', 'none', '--input-size', '32x48'),
      /--input-size: vit_b_16 takes only square images, got 32 x 48/,
    )
    assert.match(
      await refused('train', photos, '--input-size', '32x4'),
      /--input-size\[1\]: expected an integer from 32/,
    )
    assert.match(
      await refused('summary', '--model', 'resnet18', '--input-size', '32,48'),
      /or a height and a width: 160x224/,
    )
  })
})
