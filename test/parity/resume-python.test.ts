import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Model, type StartEvent, type TrainOptions, train } from '../../lib/index.js'
import { type NativeTrainer, native, type TrainerOptions } from '../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'
import { onOneThread, smallNetwork } from '../support/small-network.js'

const optimizers = {
  sgd: { name: 'sgd', momentum: 0.9, dampening: 0, nesterov: true, weightDecay: 1e-3 },
  adam: { name: 'adam', betas: [0.8, 0.99], eps: 1e-4, weightDecay: 1e-3 },
} as const satisfies Record<string, TrainOptions['optimizer']>

const batch = { count: 8, size: 32 }
const length = batch.count * 3 * batch.size ** 2
const values = Float32Array.from({ length: 2 * length }, (_, i) => Math.fround(Math.sin(i * 12.9898) * 2))
const labels = Int32Array.from({ length: batch.count }, (_, i) => i % 3)

interface Continued {
  losses: [number, number]
  learningRate: number
  sums: Record<string, [number, number]>
}

describe(`training continues in Python, and from there continues here`, () => {
  onOneThread()
  let root: string
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    root = await temporaryFolder()
    await drawPhotos(join(root, 'photos'))
    await writeFile(join(root, 'batches'), values)
  })
  after(removeTemporaryFolders)

  for (const [name, optimizer] of Object.entries(optimizers)) {
    it(`with ${name}: the optimizer's state is understood both ways, step by step`, async () => {
      const options: TrainOptions = {
        data: join(root, 'photos'),
        epochs: 2,
        batchSize: 8,
        inputSize: 32,
        optimizer: optimizer as NonNullable<TrainOptions['optimizer']>,
        learningRate: 0.005,
        report: false,
      }
      using model = await smallNetwork({ device: 'cpu', dropout: 0 })
      const directory = join(root, name)
      await train(model, { ...options, directory })
      const [last, fromPython] = [join(directory, 'last.pth'), join(root, `${name}.pth`)]
      const python: Continued = JSON.parse(
        runReference('continue_training.py', last, name, join(root, 'batches'), fromPython),
      )

      const first = await continued(model, optimizer, last)
      close(await step(first, 0, python.learningRate), python.losses[0], 'loss')
      using other = await smallNetwork({ device: 'cpu', dropout: 0, seed: 2 })
      const second = await continued(other, optimizer, fromPython)
      close(await step(second, 1, python.learningRate), python.losses[1], 'loss')
      for (const [tensor, { data }] of await other.stateDict()) {
        const numbers = Array.from(data, Number)
        const [sum, squares] = python.sums[tensor]!
        close(
          numbers.reduce((a, b) => a + b, 0),
          sum,
          `sum of ${tensor}`,
        )
        close(
          numbers.reduce((a, b) => a + b * b, 0),
          squares,
          `squares of ${tensor}`,
        )
      }

      // Epoch 7, counted from 0, is done, so the ninth is next.
      using resumed = await smallNetwork({ device: 'cpu', dropout: 0 })
      const run = train(resumed, {
        ...options,
        epochs: 9,
        resume: fromPython,
        directory: join(root, `${name}-resumed`),
      })
      let start: StartEvent | undefined
      for await (const event of run) if (event.type === 'start') start = event
      assert.equal(start!.firstEpoch, 9)
      assert.equal((await run).history.length, 1)
    })
  }
})

function close(got: number, expected: number, what: string): void {
  const allowed = 1e-5 * Math.max(1, Math.abs(expected))
  assert.ok(Math.abs(got - expected) <= allowed, `${what}: ${got}, in PyTorch ${expected}`)
}

/** Makes a trainer that continues from a checkpoint. */
async function continued(
  model: Model,
  optimizer: (typeof optimizers)[keyof typeof optimizers],
  path: string,
): Promise<NativeTrainer> {
  const trainer = await native().createTrainer(model.network, {
    optimizer: optimizer as unknown as TrainerOptions['optimizer'],
    labelSmoothing: 0,
    classWeights: null,
    clipGradNorm: null,
    ema: null,
    dtype: 'float32',
  })
  const checkpoint = await native().openCheckpoint(path, { verify: true })
  await model.network.loadStateDict(checkpoint, { averaged: true, classifier: 'whole', strict: true })
  await trainer.loadState(checkpoint)
  checkpoint.dispose()
  return trainer
}

async function step(trainer: NativeTrainer, index: number, learningRate: number): Promise<number> {
  const images = new (native().ImageBatch)(batch.count, batch.size, batch.size, [0, 0, 0], [1, 1, 1])
  images.setTensor(values.subarray(index * length, (index + 1) * length))
  const options = { learningRate, seed: 0, scale: 1, update: true, mixed: null }
  return (await trainer.step(images, labels, options)).loss
}
