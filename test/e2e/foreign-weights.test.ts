import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { createModel, type TensorData, writeCheckpoint } from '../../lib/index.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'

const program = join(import.meta.dirname, '../../dist/cli/main.js')
const { FORCE_COLOR: _, ...environment } = process.env

function visiontorch(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    encoding: 'utf8',
    // Nothing listens there, so any download fails.
    env: { ...environment, VISIONTORCH_WEIGHTS_URL: 'http://127.0.0.1:9' },
  })
  return { status, stdout, stderr }
}

describe('weights of other programs, on the command line', function () {
  this.timeout(120_000)
  let folder: string
  let image: string
  let weights: string // a MobileNetV2 for three classes
  let tensors: Map<string, TensorData>
  const predict = (...args: string[]) =>
    visiontorch('predict', image, '--model', 'mobilenet_v2', '--threads', '1', ...args)

  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    image = join(folder, 'image.png')
    const background = { r: 200, g: 90, b: 10 }
    await sharp({ create: { width: 48, height: 40, channels: 3, background } }).toFile(image)
    using model = await createModel('mobilenet_v2', { numClasses: 3, device: 'cpu' })
    tensors = await model.stateDict()
    weights = join(folder, 'three.pth')
    await writeCheckpoint(weights, new Map([['net', tensors]]))
    await writeFile(join(folder, 'two.txt'), 'cat\ndog\n')
    await writeFile(join(folder, 'three.txt'), 'cat\ndog\nfox\n')
    await mkdir(join(folder, 'photos/train/cat'), { recursive: true })
    await mkdir(join(folder, 'photos/train/dog'), { recursive: true })
    for (const name of ['cat', 'dog'])
      for (const i of [0, 1, 2, 3]) await sharp(image).toFile(join(folder, `photos/train/${name}/${i}.png`))
  })
  after(removeTemporaryFolders)

  it("predict with the file's number of classes, or with names", () => {
    const numbered = predict('--weights', weights)
    assert.equal(numbered.status, 0, numbered.stderr)
    assert.deepEqual(numbered.stdout.match(/ [012]$/gm)?.length, 3)
    const named = predict('--weights', weights, '--classes', join(folder, 'three.txt'), '--top-k', '1')
    assert.match(named.stdout, /image\.png: [\d.]+% +(cat|dog|fox)\n/)
  })

  it('do not predict or evaluate if their classifier is for other classes', () => {
    for (const { status, stdout, stderr } of [
      predict('--weights', weights, '--classes', join(folder, 'two.txt'), '--json'),
      visiontorch(
        ...['evaluate', '--data', join(folder, 'photos'), '--model', 'mobilenet_v2', '--weights', weights],
        ...['--classes', join(folder, 'two.txt'), '--split', 'all'],
      ),
    ]) {
      assert.equal(status, 1)
      assert.equal(stdout, '')
      assert.match(stderr, /never trained: .*three\.pth has 3 classes, and 2 were asked for.*Train it/)
      assert.match(stderr, /or set --allow-untrained/)
    }
  })

  it('predict at random on request', () => {
    const { status, stdout, stderr } = predict('--weights', 'none', '--top-k', '1')
    assert.equal(status, 0, stderr)
    assert.match(stdout, /% +\d+\n/)
  })

  it('that are not finite are refused with the name of the tensor', async () => {
    const broken = new Map(tensors)
    const variance = tensors.get('features.18.1.running_var')!
    const data = Float32Array.from(variance.data as Float32Array)
    data[0] = Number.NaN
    broken.set('features.18.1.running_var', { ...variance, data })
    const path = join(folder, 'nan.pth')
    await writeCheckpoint(path, broken)
    const { status, stdout, stderr } = predict('--weights', path, '--json')
    assert.deepEqual([status, stdout], [1, ''])
    assert.match(stderr, /nan\.pth: features\.18\.1\.running_var holds a number that is not finite/)
  })

  it('load partially with --no-strict, which the error mentions', async () => {
    const path = join(folder, 'more.pth')
    const extra: TensorData = { dtype: 'float32', shape: [2], data: new Float32Array(2) }
    await writeCheckpoint(path, new Map(tensors).set('attention.scale', extra))
    const strict = predict('--weights', path)
    assert.equal(strict.status, 1)
    assert.match(strict.stderr, /attention\.scale is unexpected.*--no-strict/)
    const relaxed = predict('--weights', path, '--no-strict')
    assert.equal(relaxed.status, 0, relaxed.stderr)
    assert.equal(relaxed.stdout, predict('--weights', weights).stdout)
  })

  it('of another network are recognized', () => {
    const { status, stderr } = visiontorch('predict', image, '--model', 'resnet18', '--weights', weights)
    assert.equal(status, 1)
    assert.match(stderr, /These look like the weights of mobilenet_v2/)
  })

  it('use the normalisation and sizes from flags', () => {
    const usual = predict('--weights', weights).stdout
    const flags = [
      '--mean',
      '0.485,0.456,0.406',
      '--std',
      '0.229,0.224,0.225',
      '--resize',
      '256',
      '--crop',
      '224',
    ]
    assert.equal(predict('--weights', weights, ...flags).stdout, usual)
    assert.notEqual(predict('--weights', weights, '--mean', '0.5,0.5,0.5', '--crop', '64').stdout, usual)
    const { status, stderr } = predict('--weights', weights, '--mean', '0.5,0.5')
    assert.notEqual(status, 0)
    assert.match(stderr, /--mean: expected three numbers/)
    assert.match(
      predict('--weights', weights, '--resize', '100').stderr,
      /--resize: expected at least --crop/,
    )
  })

  it('are downloaded only after the other files have been checked', () => {
    const none = join(folder, 'none')
    for (const [args, message] of [
      [['predict', none, '--model', 'resnet18'], /none: no such file/],
      [['predict', image, '--model', 'resnet18', '--classes', none], /none/],
      [['evaluate', '--data', none, '--model', 'resnet18'], /none: there is no such file/],
    ] as const) {
      const { status, stderr } = visiontorch(...args)
      assert.equal(status, 1)
      assert.match(stderr, message)
      assert.doesNotMatch(stderr, /127\.0\.0\.1/)
    }
  })

  it('are not necessary for training, as the error of a download says', () => {
    const args = [
      'train',
      '--data',
      join(folder, 'photos'),
      '--model',
      'resnet18',
      '--out',
      join(folder, 'run'),
    ]
    const { status, stderr } = visiontorch(...args)
    assert.equal(status, 1)
    assert.match(stderr, /127\.0\.0\.1.*--weights none/)
  })
})
