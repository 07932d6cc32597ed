import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type Architecture, createModel, loadModel, type Model, runtimeInfo, train } from '../../lib/index.js'
import { native } from '../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { fixture } from '../support/networks.js'
import { drawPhotos } from '../support/photos.js'
import { plainSgd } from '../support/plain-sgd.js'
import { skip } from '../support/skip.js'
import { smallNetwork } from '../support/small-network.js'

const { cuda } = runtimeInfo()

/** Computes outputs for noise of this size. */
async function logits(model: Model, images: number, size: number): Promise<number[]> {
  const batch = new (native().ImageBatch)(images, size, size, [0, 0, 0], [1, 1, 1])
  batch.setTensor(Float32Array.from({ length: images * 3 * size * size }, (_, i) => Math.sin(i * i)))
  return Array.from(await model.network.forward(batch, images, 'logits'))
}

const largest = (values: number[]) => Math.max(...values.map(Math.abs))

describe(`a GPU`, function () {
  this.timeout(120_000)
  before(function () {
    if (!cuda) skip(this, 'LibTorch sees no CUDA device')
  })
  after(removeTemporaryFolders)

  // cuDNN convolves float32 in TF32, with 10 bits of mantissa, as in PyTorch.
  const tolerances = { float32: 0.02, bfloat16: 0.1 } as const
  const one = ['resnext50_32x4d', 'mobilenet_v3_large', 'vgg11_bn', 'squeezenet1_1'] as const
  const firsts = native()
    .families()
    .map(({ architectures }) => architectures[0] as Architecture)
  for (const architecture of new Set([...firsts, ...one]))
    for (const dtype of ['float32', 'bfloat16'] as const)
      it(`${architecture} gives the outputs of the CPU in ${dtype}`, async () => {
        for (const images of [1, 3]) {
          using model = await createModel(architecture, { numClasses: 10, device: 'cpu' })
          const size = fixture.structure[architecture]!.published.inputSize
          const expected = await logits(model, images, size)
          await model.to('cuda', dtype)
          const actual = await logits(model, images, size)
          const difference = largest(actual.map((value, i) => value - expected[i]!))
          assert.ok(
            difference <= tolerances[dtype] * largest(expected),
            `${difference}, ${largest(expected)}`,
          )
        }
      })

  it('trains to the same weights twice, and predicts the same as the saved model', async () => {
    const folder = await temporaryFolder()
    const photos = join(folder, 'photos')
    await drawPhotos(photos)
    const weights = []
    for (const run of ['first', 'second']) {
      using model = await smallNetwork({ device: 'cuda' })
      const directory = join(folder, run)
      await train(model, { data: photos, directory, epochs: 3, batchSize: 8, inputSize: 32, report: false })
      weights.push(await model.stateDict())
      using loaded = await loadModel(join(directory, 'best.pth'), { device: 'cuda' })
      assert.deepEqual(await logits(loaded, 4, 32), await logits(model, 4, 32))
    }
    assert.deepEqual(weights[0], weights[1])
  })

  it('trains in float16 with a scaled loss', async () => {
    const folder = await temporaryFolder()
    const photos = join(folder, 'photos')
    await drawPhotos(photos)
    using model = await smallNetwork({ device: 'cuda' })
    const options = { directory: join(folder, 'run'), batchSize: 8, inputSize: 32, report: false }
    const { history } = await train(model, {
      ...options,
      data: photos,
      dtype: 'float16',
      epochs: 20,
      optimizer: 'adam',
      learningRate: 0.01,
      augmentation: 'none',
    })
    assert.ok(history.at(-1)!.trainLoss < 0.5 * history[0]!.trainLoss)
  })

  it('refuses the same inputs as the CPU', async () => {
    using vgg = await createModel('vgg11', { numClasses: 10, device: 'cuda' })
    await assert.rejects(logits(vgg, 1, 16), { code: 'ERR_INVALID_ARGUMENT', message: /too small/ })
    using resnet = await createModel('resnet18', { numClasses: 10, device: 'cuda' })
    const trainer = await native().createTrainer(resnet.network, plainSgd)
    const batch = new (native().ImageBatch)(1, 32, 32, [0, 0, 0], [1, 1, 1])
    batch.setTensor(new Float32Array(3 * 32 * 32))
    const options = { learningRate: 0.1, seed: 1, scale: 1, update: true, mixed: null }
    await assert.rejects(trainer.step(batch, new Int32Array(1), options), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /more than one value per channel/,
    })
  })
})
