import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  evaluate,
  loadModel,
  type Model,
  type TrainingEvent,
  type TrainOptions,
  train,
} from '../../lib/index.js'
import { resolveOptions } from '../../lib/train/options.js'
import { learningRateAt } from '../../lib/train/schedule.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { onOneThread, smallNetwork } from '../support/small-network.js'

const classes = ['checks', 'columns', 'rows']

describe('train()', () => {
  onOneThread()
  let root: string
  let photos: string
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos)
  })
  after(removeTemporaryFolders)

  let runs = 0
  const quick = (more: TrainOptions = {}): TrainOptions => ({
    data: photos,
    epochs: 1,
    batchSize: 8,
    inputSize: 32,
    augmentation: 'none',
    report: false,
    directory: join(root, `run-${++runs}`),
    ...more,
  })

  /** With the batches of train()'s evaluation, because on a GPU the last digits of results depend on the batch. */
  const evaluated = (model: Model) => evaluate(model, photos, { batchSize: 8 })

  async function events(model: Model, options: TrainOptions): Promise<TrainingEvent[]> {
    const all: TrainingEvent[] = []
    for await (const event of train(model, options)) all.push(event)
    return all
  }

  it('learns, reports its progress, and leaves the best weights in the model and the files in the directory', async () => {
    using model = await smallNetwork()
    const options = quick({
      epochs: 20,
      optimizer: 'adam',
      learningRate: 0.01,
      report: true,
      tensorboard: true,
    })
    const seen = await events(model, options)
    const end = seen.at(-1)!
    assert.ok(end.type === 'end')
    assert.ok(end.best.top1 >= 0.9, `accuracy ${end.best.top1}`)
    assert.equal(end.reason, 'completed')
    assert.equal(end.history.length, 20)
    assert.equal(seen[0]!.type, 'start')
    assert.equal(seen.filter(({ type }) => type === 'step').length, 20 * 3)
    assert.equal(seen.filter(({ type }) => type === 'epoch').length, 20)

    const evaluation = await evaluated(model)
    assert.equal(evaluation.top1, end.best.top1)
    assert.equal(evaluation.loss, end.best.validationLoss)
    assert.equal(evaluation.count, 12)
    const files = await readdir(options.directory!)
    for (const name of [
      'best.pth',
      'classes.txt',
      'config.json',
      'last.pth',
      'metrics.csv',
      'metrics.jsonl',
    ]) {
      assert.ok(files.includes(name), name)
    }
    assert.ok(files.some(name => name.startsWith('events.out.tfevents')))
    assert.equal(await readFile(join(options.directory!, 'classes.txt'), 'utf8'), 'checks\ncolumns\nrows\n')

    using loaded = await loadModel(join(options.directory!, 'best.pth'))
    assert.deepEqual(loaded.classes, classes)
    assert.equal(loaded.preprocessing.crop, 32)
    assert.equal((await evaluated(loaded)).loss, end.best.validationLoss)
  })

  it('gives the same weights for the same seed', async () => {
    const weights = async (seed: number) => {
      using model = await smallNetwork()
      await train(model, quick({ seed, augmentation: 'standard' }))
      return (await model.stateDict()).get('features.0.0.weight')!.data
    }
    const [first, second, other] = [await weights(3), await weights(3), await weights(4)]
    assert.deepEqual(first, second)
    assert.notDeepEqual(first, other)
  })

  it('leaves a frozen backbone and its batch norms alone', async () => {
    using model = await smallNetwork()
    const before = await model.stateDict()
    model.freeze()
    await train(model, quick())
    const after = await model.stateDict()
    for (const [name, tensor] of before) {
      const same = Buffer.compare(bytes(tensor.data), bytes(after.get(name)!.data)) === 0
      assert.equal(same, !name.startsWith('classifier.'), name)
    }
  })

  it('stops early, with the best weights, when nothing improves', async () => {
    using model = await smallNetwork()
    const seen = await events(model, quick({ epochs: 50, earlyStopping: 2, learningRate: 1e-9 }))
    const end = seen.at(-1)!
    assert.ok(end.type === 'end' && end.reason === 'early-stopping')
    assert.equal(end.history.length, end.best.epoch + 2)
    assert.equal((await evaluated(model)).loss, end.best.validationLoss)
  })

  it('stops when its signal is aborted, saves last.pth, and resumes to the same weights', async () => {
    using straight = await smallNetwork()
    await train(straight, quick({ epochs: 2, augmentation: 'standard' }))

    using first = await smallNetwork()
    const controller = new AbortController()
    const options = quick({ epochs: 2, augmentation: 'standard' })
    const run = train(first, { ...options, signal: controller.signal })
    await assert.rejects(
      async () => {
        for await (const event of run) {
          if (event.type === 'step' && event.epoch === 2 && event.step === 2) controller.abort()
        }
      },
      { name: 'AbortError' },
    )
    using second = await smallNetwork()
    const { history } = await train(second, { resume: true, directory: options.directory! })
    assert.equal(history.length, 2)
    assertSameWeights(await straight.stateDict(), await second.stateDict())
  })

  it('extends a finished run', async () => {
    using model = await smallNetwork()
    const options = quick()
    await train(model, options)
    const { history } = await train(model, { resume: true, directory: options.directory!, epochs: 3 })
    assert.deepEqual(
      history.map(({ epoch }) => epoch),
      [1, 2, 3],
    )
  })

  it('continues in another directory, with the best weights so far', async () => {
    using model = await smallNetwork()
    const options = quick({ monitor: 'loss' })
    const { best } = await train(model, options)
    const elsewhere = quick({ epochs: 2, learningRate: 1, monitor: 'loss' })
    const resumed = await train(model, { ...elsewhere, resume: join(options.directory!, 'last.pth') })
    assert.deepEqual(resumed.best, best)
    assert.equal((await evaluated(model)).loss, best.validationLoss)
    assert.ok((await readdir(elsewhere.directory!)).includes('best.pth'))
  })

  it('keeps checkpoints of some epochs', async () => {
    using model = await smallNetwork()
    const options = quick({ epochs: 5, saveEvery: 1, keep: 2 })
    await train(model, options)
    const files = (await readdir(options.directory!)).filter(name => name.startsWith('epoch-'))
    assert.deepEqual(files.sort(), ['epoch-0004.pth', 'epoch-0005.pth'])
  })

  describe('with a frozen backbone', () => {
    const frozen = (more: TrainOptions = {}) =>
      quick({ epochs: 2, freezeEpochs: 2, learningRate: 0.05, augmentation: 'none', ...more })
    // An augmentation that never happens, but could: the images stay the same, yet must be decoded in each epoch.
    const almostNone = { scale: null, horizontalFlip: 1e-300 }

    it('and images that do not vary, computes the features once, with the same result', async () => {
      using once = await smallNetwork({ dropout: 0 })
      using always = await smallNetwork({ dropout: 0 })
      const notes = (seen: TrainingEvent[]) => seen.filter(({ type }) => type === 'note').length
      assert.equal(notes(await events(once, frozen())), 1)
      assert.equal(notes(await events(always, frozen({ augmentation: almostNone }))), 0)
      await assertCloseWeights(once, always, 1e-4)
    })

    it('accumulates gradients to the same as a larger batch', async () => {
      using whole = await smallNetwork({ dropout: 0 })
      using parts = await smallNetwork({ dropout: 0 })
      const options = { augmentation: almostNone, classWeights: [1, 2, 5], labelSmoothing: 0.1 }
      await train(whole, frozen({ ...options, batchSize: 10 }))
      await train(parts, frozen({ ...options, batchSize: 5, gradientAccumulation: 2 }))
      await assertCloseWeights(whole, parts, 1e-5)
    })
  })

  it('averages the weights, evaluates the average, and saves it as the best', async () => {
    using model = await smallNetwork()
    const options = quick({ ema: 0.5 })
    const { best } = await train(model, options)
    assert.equal((await evaluated(model)).loss, best.validationLoss)
    using last = await loadModel(join(options.directory!, 'last.pth'))
    assert.notEqual((await evaluated(last)).loss, best.validationLoss)
  })

  it('trains on the same pixels from the memory cache and the disk cache', async () => {
    const weights: Buffer[] = []
    const before = process.env.XDG_CACHE_HOME
    process.env.XDG_CACHE_HOME = join(root, 'cache')
    try {
      for (const cache of ['none', 'memory', 'disk', 'disk'] as const) {
        using model = await smallNetwork()
        await train(model, quick({ cache, epochs: 2, augmentation: 'standard' }))
        weights.push(bytes((await model.stateDict()).get('features.0.0.weight')!.data))
      }
    } finally {
      if (before === undefined) delete process.env.XDG_CACHE_HOME
      else process.env.XDG_CACHE_HOME = before
    }
    for (const other of weights) assert.deepEqual(other, weights[0])
    assert.equal((await readdir(join(root, 'cache/visiontorch/images'))).length, 36)
  })

  it("follows classification-pytorch's recipe with its preset", async () => {
    using model = await smallNetwork()
    const seen = await events(model, quick({ preset: 'classification-pytorch', epochs: 4 }))
    const rates = new Set(seen.flatMap(event => (event.type === 'step' ? [event.learningRate] : [])))
    const options = resolveOptions({
      data: photos,
      preset: 'classification-pytorch',
      epochs: 4,
      batchSize: 8,
    })
    assert.deepEqual(
      [...rates],
      [0, 1, 2, 3].map(epoch => learningRateAt(options, epoch, 0)),
    )
  })

  it('repeats each image, augmented by AugMix, to the same weights for any number of workers', async () => {
    const options: TrainOptions = { augmentation: 'augmix', repeatedAugmentation: 3 }
    using model = await smallNetwork()
    const seen = await events(model, quick({ ...options, workers: 1 }))
    const steps = seen.flatMap(event => (event.type === 'step' ? event.steps : []))
    assert.deepEqual(steps, [3, 3, 3], 'an epoch has 24 images: 8 of the 24, three times each')
    using again = await smallNetwork()
    await train(again, quick({ ...options, workers: 4 }))
    assertSameWeights(await model.stateDict(), await again.stateDict())
    using once = await smallNetwork()
    await train(once, quick({ ...options, repeatedAugmentation: 1 }))
    assert.notDeepEqual(await once.stateDict(), await model.stateDict())
  })

  it('mixes images, in bfloat16, with clipped gradients', async () => {
    using model = await smallNetwork()
    const augmentation = { mixup: 0.2, cutmix: 1 }
    const seen = await events(model, quick({ augmentation, dtype: 'bfloat16', clipGradNorm: 1 }))
    const step = seen.find(event => event.type === 'step')!
    assert.ok(step.type === 'step' && step.gradNorm! > 0)
    assert.equal(model.dtype, 'float32')
  })
})

const bytes = (data: ArrayBufferView) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)

function assertSameWeights(
  expected: Awaited<ReturnType<Model['stateDict']>>,
  got: Awaited<ReturnType<Model['stateDict']>>,
): void {
  for (const [name, tensor] of expected) {
    assert.equal(Buffer.compare(bytes(tensor.data), bytes(got.get(name)!.data)), 0, name)
  }
}

async function assertCloseWeights(a: Model, b: Model, allowed: number): Promise<void> {
  const other = await b.stateDict()
  for (const [name, { data }] of await a.stateDict()) {
    const expected = other.get(name)!.data
    for (const [i, value] of Array.from(data, Number).entries()) {
      const difference = Math.abs(value - Number(expected[i]))
      assert.ok(difference <= allowed, `${name}[${i}] differs by ${difference}`)
    }
  }
}
