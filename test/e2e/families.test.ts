import assert from 'node:assert/strict'
import { copyFileSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type CreateModelOptions,
  createModel,
  loadModel,
  type Model,
  predict,
  train,
} from '../../lib/index.js'
import { type Architecture, families } from '../../lib/model/architectures.js'
import { native } from '../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { plainSgd } from '../support/plain-sgd.js'
import { skip } from '../support/skip.js'

interface Network {
  architecture: Architecture
  options?: CreateModelOptions
  size: number
  /** Only with `npm test -- --large`. */
  isSlow?: boolean
}

/** A network of each family, as small as its options allow, and the size of its images. */
const networks: Record<string, Network> = {
  vgg: { architecture: 'vgg11', size: 32, isSlow: true },
  mobilenet_v2: { architecture: 'mobilenet_v2', options: { widthMult: 0.25 }, size: 64 },
  mobilenet_v3: { architecture: 'mobilenet_v3_small', options: { widthMult: 0.5 }, size: 64 },
  efficientnet: { architecture: 'efficientnet_b0', size: 64 },
  regnet: { architecture: 'regnet_y_400mf', size: 64 },
  mnasnet: { architecture: 'mnasnet0_5', size: 64 },
  resnet: { architecture: 'resnet18', size: 64 },
  densenet: { architecture: 'densenet121', size: 64 },
  shufflenet_v2: { architecture: 'shufflenet_v2_x0_5', size: 64 },
  squeezenet: { architecture: 'squeezenet1_1', size: 64 },
  alexnet: { architecture: 'alexnet', size: 64, isSlow: true },
  googlenet: { architecture: 'googlenet', size: 64 },
  inception_v3: { architecture: 'inception_v3', options: { auxLogits: false }, size: 107 },
  convnext: { architecture: 'convnext_tiny', size: 32 },
  vision_transformer: {
    architecture: 'vit_b_16',
    options: { imageSize: 32, numLayers: 3, numHeads: 2, hiddenDim: 32, mlpDim: 64 },
    size: 32,
  },
  swin_transformer: { architecture: 'swin_v2_t', size: 32 },
  maxvit: { architecture: 'maxvit_t', size: 224, isSlow: true },
}

type Weights = Map<string, Uint8Array>

async function weightsOf(model: Model): Promise<Weights> {
  const bytes = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
    new Uint8Array(buffer, byteOffset, byteLength)
  return new Map([...(await model.stateDict())].map(([name, { data }]) => [name, bytes(data)]))
}

/** Returns the names of the tensors that differ. */
const changed = (before: Weights, after: Weights): string[] =>
  [...before].flatMap(([name, bytes]) => (Buffer.compare(bytes, after.get(name)!) === 0 ? [] : [name]))

describe('every family of networks', function () {
  this.timeout(120_000)
  let root: string
  let photos: string
  let photo: string
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos, { classes: ['columns', 'rows'], train: 1, val: 1 })
    photo = join(photos, 'val', 'rows', '0.png')
  })
  after(removeTemporaryFolders)

  it('is tested here', () => {
    assert.deepEqual(
      Object.keys(networks).sort(),
      families()
        .map(({ name }) => name)
        .sort(),
    )
  })

  for (const { name, classifierLayer, features: counts, architectures } of families()) {
    const { architecture, options, size, isSlow } = networks[name]!
    const create = async (seed = 1) => {
      const model = await createModel(architecture, {
        classes: ['columns', 'rows'],
        device: 'cpu',
        seed,
        ...options,
      })
      model.preprocessing = { ...model.preprocessing, resize: size, crop: size }
      return model
    }
    const isOfClassifier = (tensor: string) => tensor.startsWith(classifierLayer.split('.')[0]!)

    describe(`${name} (${architecture})`, () => {
      before(function () {
        if (isSlow && !process.env.VISIONTORCH_TEST_LARGE) skip(this, 'slow (npm test -- --large)')
      })

      it('gets a new classifier on the same backbone', async () => {
        using model = await create()
        const before = await weightsOf(model)
        await model.replaceClassifier(['a', 'b', 'c'])
        const after = await weightsOf(model)
        assert.deepEqual([...after.keys()], [...before.keys()])
        assert.equal((await model.stateDict()).get(`${classifierLayer}.weight`)!.shape[0], 3)
        const different = changed(before, after)
        assert.ok(different.includes(`${classifierLayer}.weight`))
        const isOfHead = (tensor: string) => isOfClassifier(tensor) || tensor.startsWith('aux')
        assert.deepEqual(
          different.filter(tensor => !isOfHead(tensor)),
          [],
        )
        assert.deepEqual((await predict(model, photo)).map(({ label }) => label).sort(), ['a', 'b', 'c'])
      })

      it('computes features, and predicts nearly the same in bfloat16 as in float32', async () => {
        using model = await create()
        const vector = await model.features(photo)
        assert.ok(vector.every(Number.isFinite))
        const isStandard = !options || !('widthMult' in options || 'hiddenDim' in options)
        if (isStandard) assert.equal(vector.length, counts[architectures.indexOf(architecture)])
        const before = await predict(model, photo)
        await model.to('cpu', 'bfloat16')
        const after = await predict(model, photo)
        for (const { label, score } of before) {
          const rounded = after.find(each => each.label === label)!.score
          assert.ok(Math.abs(rounded - score) < 0.05, `${label}: ${score}, then ${rounded}`)
        }
      })

      it('can freeze its first stages, the layers of a prefix, or everything but the classifier', async () => {
        using fresh = await create()
        const before = await weightsOf(fresh)
        const first = [...before.keys()].find(tensor => tensor.includes('.'))!
        const prefix = `${first.split('.').slice(0, -1).slice(0, 2).join('.')}.`
        const step = async (freeze: number | string | null, frozen = false) => {
          using model = await create()
          const trainer = await native().createTrainer(model.network, { ...plainSgd, freeze })
          if (frozen) await trainer.setFrozen(true, true)
          const batch = model.createBatch(2)
          batch.setTensor(Float32Array.from({ length: 2 * 3 * size ** 2 }, (_, i) => Math.sin(i * i)))
          const step = { learningRate: 0.1, seed: 0, scale: 1, update: true, mixed: null }
          // Two steps, because ViT's classifier starts from zeros, which give the other layers no gradient.
          for (let i = 0; i < 2; i++) await trainer.step(batch, Int32Array.of(0, 0), step)
          return changed(before, await weightsOf(model))
        }
        assert.ok((await step(null)).includes(first), `${first} is trained if nothing is frozen`)
        const trained = await step(1)
        assert.ok(!trained.includes(first))
        assert.ok(!trained.every(isOfClassifier), 'the next stages are trained')
        const others = await step(prefix)
        assert.deepEqual(
          others.filter(tensor => tensor.startsWith(prefix)),
          [],
        )
        assert.ok(!others.every(isOfClassifier), 'the other layers are trained')
        const head = await step(null, true)
        assert.ok(head.length > 0 && head.every(isOfClassifier), String(head))
      })

      it('is saved and loaded', async () => {
        using model = await create()
        const path = join(root, `${name}.pth`)
        await model.save(path)
        using loaded = await loadModel(path, { device: 'cpu' })
        assert.deepEqual(changed(await weightsOf(model), await weightsOf(loaded)), [])
        assert.deepEqual(await predict(loaded, photo), await predict(model, photo))
      })

      it('resumes a run that was killed in its second epoch, with the same final weights', async () => {
        const run = {
          data: photos,
          epochs: 2,
          batchSize: 2,
          augmentation: 'flip',
          learningRate: 1e-3,
          report: false,
        } as const
        const [straight, killed] = ['straight', 'killed'].map(kind => join(root, `${name}-${kind}`)) as [
          string,
          string,
        ]
        await mkdir(killed)
        using model = await create()
        for await (const event of train(model, { ...run, directory: straight })) {
          // The files that a killed process leaves.
          if (event.type === 'checkpoint' && event.kind === 'last' && event.epoch === 1)
            copyFileSync(event.path, join(killed, 'last.pth'))
        }
        using start = await loadModel(join(killed, 'last.pth'), { device: 'cpu' })
        using other = await create(2)
        await train(other, { directory: killed, resume: true })
        const [expected, got] = (await Promise.all(
          [straight, killed].map(directory => loadModel(join(directory, 'last.pth'), { device: 'cpu' })),
        )) as [Model, Model]
        assert.deepEqual(changed(await weightsOf(expected), await weightsOf(got)), [])
        assert.notDeepEqual(changed(await weightsOf(start), await weightsOf(expected)), [])
      })
    })
  }
})
