import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Architecture,
  type CreateModelOptions,
  createModel,
  loadModel,
  predict,
  type TrainOptions,
  train,
} from '../../lib/index.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { ServeProcess, stopServing } from '../support/serve-process.js'
import { picture } from '../support/serving.js'

const program = join(import.meta.dirname, '../../dist/cli/main.js')

function visiontorch(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

interface Figures {
  images: number
  float: { top1: number; bytes: number }
  int8: { top1: number; bytes: number }
  agreement: number
  layers: { int8: string[]; float: string[] }
}

/** Networks that learn the photos in seconds. */
const networks: [Architecture, CreateModelOptions, TrainOptions][] = [
  ['resnet18', {}, { epochs: 2, learningRate: 0.001 }],
  [
    'mobilenet_v2',
    {
      invertedResidualSetting: [
        [1, 16, 1, 1],
        [6, 24, 2, 2],
        [6, 32, 2, 2],
        [6, 64, 2, 1],
      ],
    },
    { epochs: 8, learningRate: 0.003 },
  ],
]

describe('visiontorch quantize', function () {
  this.timeout(180_000)
  let folder: string
  let photos: string
  const file = (name: string) => join(folder, name)
  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    photos = file('photos')
    await drawPhotos(photos, { train: 32, val: 67 })
    for (const [architecture, network, options] of networks) {
      using model = await createModel(architecture, {
        classes: ['checks', 'columns', 'rows'],
        seed: 1,
        device: 'cpu',
        ...network,
      })
      await train(model, {
        ...{ data: photos, directory: file(architecture), batchSize: 12, inputSize: 40 },
        ...{ optimizer: 'adam', augmentation: 'none', report: false, ...options },
      })
    }
  })
  after(async () => {
    await stopServing()
    await removeTemporaryFolders()
  })

  const quantize = (architecture: string, ...flags: string[]) =>
    visiontorch('quantize', photos, '--checkpoint', file(`${architecture}/best.pth`), ...flags)

  for (const [architecture] of networks) {
    it(`keeps the accuracy of ${architecture} to within half a point`, async () => {
      const out = file(`${architecture}.int8.pth`)
      const { status, stdout, stderr } = quantize(architecture, '--out', out, '--json')
      assert.equal(status, 0, stderr)
      const { images, float, int8, agreement, layers }: Figures = JSON.parse(stdout)
      assert.equal(images, 201) // so that half a point is one image
      assert.ok(float.top1 > 0.9, `${float.top1}`)
      assert.ok(int8.top1 >= float.top1 - 0.005, `${int8.top1}, ${float.top1} in floating point`)
      assert.ok(agreement >= 0.98, `${agreement}`)
      assert.equal(int8.bytes, (await stat(out)).size)
      assert.ok(layers.int8.length > layers.float.length, `${layers.float}`)
      using model = await loadModel(out, { device: 'cpu' })
      assert.deepEqual(layers, model.quantization)
    })
  }

  it('prints a table, and takes the method, the number of samples and the layers to keep', async () => {
    const flags = ['--method', 'percentile', '--samples', '6', '--keep', 'conv1,layer4,fc']
    const { status, stdout, stderr } = quantize('resnet18', '--out', file('table.pth'), ...flags)
    assert.equal(status, 0, stderr)
    assert.match(stdout, /^model +accuracy +size\n/)
    assert.match(stdout, /^float +[\d.]+% +42\.\d MiB$/m)
    assert.match(stdout, /^int8 +[\d.]+% +[\d.]+ MiB$/m)
    assert.match(stdout, /^both models predict the same class for [\d.]+% of 201 images$/m)
    assert.match(stdout, /^in 8 bits: 14 layers; in floating point: conv1, layer4\.0\.conv1, .*, fc$/m)
    assert.match(stderr, /wrote .*table\.pth/)
  })

  it('explains wrong values', () => {
    const unknown = quantize('resnet18', '--out', file('x.pth'), '--keep', 'conv9')
    assert.deepEqual([unknown.status, unknown.stdout], [2, ''])
    assert.match(
      unknown.stderr,
      /keep: expected names of layers or blocks, got 'conv9'\. The layers are conv1, /,
    )
    assert.match(quantize('resnet18', '--out', file('x.pth'), '--method', 'median').stderr, /Allowed choices/)
    assert.match(quantize('resnet18').stderr, /required option '--out <file>'/)
    const again = visiontorch('quantize', photos, '--checkpoint', file('table.pth'), '--out', file('x.pth'))
    assert.match(again.stderr, /quantised and cannot be quantised/)
  })

  it('writes a model that serve and predict take', async () => {
    const checkpoint = file('resnet18.int8.pth')
    const image = join(photos, 'val/rows/0.png')
    const { status, stdout } = visiontorch('predict', '--checkpoint', checkpoint, '--json', image)
    assert.equal(status, 0)
    using model = await loadModel(checkpoint)
    assert.deepEqual(JSON.parse(stdout)[0].predictions, await predict(model, image))

    const served = await ServeProcess.start('--checkpoint', checkpoint)
    const noise = await picture(1)
    const { predictions } = (await (await served.predict(noise)).json()) as { predictions: unknown }
    assert.deepEqual(predictions, await predict(model, noise))
    assert.equal(await served.stop(), 0)
  })
})
