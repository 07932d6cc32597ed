import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import sharp from 'sharp'
import { DEFAULT_PREPROCESSING } from '../../../lib/image/preprocessing.js'
import { createModel } from '../../../lib/model/create-model.js'
import { Model } from '../../../lib/model/model.js'
import { predict, predictEach } from '../../../lib/model/predict.js'
import type { ImageBatch, NativeModel } from '../../../lib/native/native.js'
import { mostProbable, PredictionError } from '../../../lib/predict/predict.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { tinyModel } from '../../support/tiny-model.js'

/** Makes pixels of one gray; each image is different. */
const flat = (value: number) => ({
  data: new Uint8Array(40 * 36 * 3).fill(value),
  width: 40,
  height: 36,
  channels: 3,
})

/** A model with a fake network that counts its calls. Its logits are the image's number in the batch, and zeros. */
function countingModel() {
  const counts: number[] = []
  const finishers: (() => void)[] = []
  const network = {
    forward: (_batch: ImageBatch, count: number) => {
      counts.push(count)
      const logits = new Float32Array(3 * count).map((_, i) => (i % 3 === 0 ? i / 3 : 0))
      return new Promise(resolve => finishers.push(() => resolve(logits)))
    },
  } as unknown as NativeModel
  const model = new Model({
    network,
    architecture: 'resnet18',
    networkOptions: {},
    classes: ['a', 'b', 'c'],
    preprocessing: { ...DEFAULT_PREPROCESSING, resize: 32, crop: 32 },
    loadReport: null,
  })
  /** Lets the network finish its batches until the promise is settled. */
  const finishUntil = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false
    promise.then(
      () => (settled = true),
      () => (settled = true),
    )
    while (!settled) {
      finishers.shift()?.()
      await turn()
    }
    return promise
  }
  return { model, counts, finishUntil }
}

describe('predict', () => {
  let model: Model
  before(async () => {
    model = await tinyModel({ classes: ['ant', 'bee', 'cow', 'dog', 'eel', 'fly', 'gnu'] })
  })
  after(() => model.dispose())

  it('gives the most probable classes of an image, with probabilities that sum to one', async () => {
    const all = await predict(model, flat(90), { topK: 100 })
    assert.deepEqual(all.map(({ label }) => label).sort(), [...model.classes])
    assert.ok(all.every(({ label, index }) => model.classes[index] === label))
    assert.ok(all.every(({ score }, i) => i === 0 || score <= all[i - 1]!.score))
    assert.ok(Math.abs(all.reduce((sum, { score }) => sum + score, 0) - 1) < 1e-9)
    assert.deepEqual(await predict(model, flat(90)), all.slice(0, 5))
    assert.deepEqual(await model.predict(flat(90), { topK: 1 }), all.slice(0, 1))
  })

  it('gives the same for an array, in order, for any batch size', async () => {
    const images = [10, 200, 60, 128, 250].map(flat)
    const single = []
    for (const image of images) single.push(await predict(model, image))
    for (const batchSize of [1, 2, 32]) {
      const batched = await predict(model, images, { batchSize })
      assert.deepEqual(
        batched.map(predictions => predictions.map(({ label }) => label)),
        single.map(predictions => predictions.map(({ label }) => label)),
      )
      for (const [i, [top]] of batched.entries())
        assert.ok(Math.abs(top!.score - single[i]![0]!.score) < 1e-5)
    }
    assert.deepEqual(await predict(model, []), [])
  })

  // The threads share the rows of an image by how fast they are, which must not change the rounding of a sum.
  for (const architecture of ['mobilenet_v2', 'mobilenet_v3_large', 'efficientnet_b0'] as const)
    it(`gives the same, bit for bit, every time (${architecture})`, async () => {
      using network = await createModel(architecture, { classes: ['ant', 'bee'], device: 'cpu', seed: 1 })
      const data = Uint8Array.from({ length: 224 * 224 * 3 }, (_, i) => 128 + 127 * Math.sin(i * i))
      const image = { data, width: 224, height: 224, channels: 3 } as const
      const first = await network.features(image)
      for (let call = 2; call <= 21; call++) {
        const again = await network.features(image)
        assert.ok(
          again.every((value, c) => value === first[c]),
          `call ${call} differs from the first`,
        )
      }
    })

  // MobileNetV3 computes the last image of three alone, with another rounding.
  it('gives the same for an array, bit for bit, however long each image takes to decode', async () => {
    using network = await createModel('mobilenet_v3_large', {
      classes: ['ant', 'bee'],
      device: 'cpu',
      seed: 1,
    })
    const encode = (size: number) => {
      const data = Uint8Array.from({ length: size * size * 3 }, (_, i) => 128 + 127 * Math.sin(i * i))
      return sharp(data, { raw: { width: size, height: size, channels: 3 } })
        .png()
        .toBuffer()
    }
    const images = await Promise.all([300, 250, 200].map(encode))
    const first = await network.features(images)
    for (let call = 2; call <= 6; call++) assert.deepEqual(await network.features(images), first)
  })

  it('accepts every kind of input', async () => {
    const { data, width, height } = flat(77)
    const image = sharp(data, { raw: { width, height, channels: 3 } }).png()
    const png = await image.toBuffer()
    const path = join(await temporaryFolder(), 'image with spaces.png')
    await writeFile(path, png)
    const expected = await predict(model, { data, width, height, channels: 3 })
    const inputs = [
      path,
      pathToFileURL(path),
      pathToFileURL(path).href,
      png,
      new Uint8Array(png),
      new Uint8Array(png).buffer,
      new Blob([new Uint8Array(png)]),
      createReadStream(path),
      image,
    ]
    for (const input of inputs) assert.deepEqual(await predict(model, input), expected)
    assert.ok(data.length > 0, "the caller's pixels were released")
    await removeTemporaryFolders()
  })

  it('rejects with the error of an unreadable image', async () => {
    await assert.rejects(predict(model, '/no/such.jpg'), {
      code: 'ERR_FILE_NOT_FOUND',
      message: /\/no\/such\.jpg/,
    })
    await assert.rejects(predict(model, Buffer.from('no image')), { code: 'ERR_IMAGE_DECODE' })
    await assert.rejects(predict(model, 5 as never), { code: 'ERR_INVALID_ARGUMENT' })
  })

  it('tries all images of an array before it rejects, and keeps the results', async () => {
    const inputs = [flat(10), '/no/such.jpg', flat(20), Buffer.from('no image')]
    const error = await predict(model, inputs).catch((error: unknown) => error)
    assert.ok(error instanceof PredictionError)
    assert.equal(error.code, 'ERR_FILE_NOT_FOUND')
    assert.match(error.message, /such\.jpg.*and 1 more of 4 images/)
    assert.deepEqual([...error.errors.keys()], [1, 3])
    assert.deepEqual(
      error.predictions.map(predictions => predictions.length),
      [5, 0, 5, 0],
    )
  })

  it('refuses options that are unknown or out of range', async () => {
    await assert.rejects(predict(model, flat(1), { topk: 1 } as never), /Did you mean 'topK'/)
    await assert.rejects(
      predict(model, flat(1), { topK: 0 }),
      /topK: expected an integer of at least 1, got 0/,
    )
    await assert.rejects(predict(model, flat(1), { batchSize: 5000 }), /from 1 to 4096/)
  })

  it('stops when its signal is aborted', async () => {
    await assert.rejects(predict(model, flat(1), { signal: AbortSignal.abort() }), { name: 'AbortError' })
    const { model: slow } = countingModel()
    const controller = new AbortController()
    const results = [
      slow.predict(flat(1), { signal: controller.signal }),
      slow.predict([flat(1), flat(2)], { signal: controller.signal }),
    ]
    await turn()
    controller.abort()
    for (const result of results) await assert.rejects(result, { name: 'AbortError' })
  })

  it('computes concurrent calls together', async () => {
    const { model, counts, finishUntil } = countingModel()
    const calls = Array.from({ length: 40 }, (_, i) => model.predict(flat(i)))
    await finishUntil(Promise.all(calls))
    assert.ok(counts.length < 40, `${counts.length} batches`)
    assert.ok(counts.every(count => count <= 32))
    assert.equal(
      counts.reduce((a, b) => a + b),
      40,
    )
  })

  it('fills its batches from an array', async () => {
    const { model, counts, finishUntil } = countingModel()
    await finishUntil(
      model.predict(
        Array.from({ length: 20 }, (_, i) => flat(i)),
        { batchSize: 8 },
      ),
    )
    assert.deepEqual(counts, [8, 8, 4])
  })
})

describe('predictEach', () => {
  it('yields results in order, with errors in their place', async () => {
    using model = await tinyModel()
    const inputs = [flat(10), '/no/such.jpg', flat(20)]
    const results = []
    for await (const result of predictEach(model, inputs, { topK: 1 })) results.push(result)
    assert.deepEqual(
      results.map(({ index, input, error, predictions }) => [index, input, error?.code, predictions?.length]),
      [
        [0, inputs[0], undefined, 1],
        [1, inputs[1], 'ERR_FILE_NOT_FOUND', undefined],
        [2, inputs[2], undefined, 1],
      ],
    )
  })

  it('reads inputs at most two batches ahead', async () => {
    const { model, finishUntil } = countingModel()
    let taken = 0
    function* source() {
      for (; taken < 1000; taken++) yield flat(taken % 256)
    }
    const results = predictEach(model, source(), { batchSize: 4 })
    for (let given = 0; given < 50; given++) {
      await finishUntil(results.next())
      assert.ok(taken <= given + 2 * 4 + 1, `${taken} taken, ${given} given`)
    }
    await results.return()
  })

  it('does not hold back results because of a slow source', async () => {
    using model = await tinyModel()
    let release = () => {}
    const released = new Promise<void>(resolve => {
      release = resolve
    })
    async function* source() {
      yield flat(1)
      await released
      yield flat(2)
    }
    const results = predictEach(model, source())
    assert.equal((await results.next()).value!.index, 0)
    release()
    assert.equal((await results.next()).value!.index, 1)
    assert.ok((await results.next()).done)
  })

  it('closes its source when the reader stops', async () => {
    using model = await tinyModel()
    let closed = false
    function* source() {
      try {
        while (true) yield flat(1)
      } finally {
        closed = true
      }
    }
    for await (const { index } of predictEach(model, source(), { batchSize: 2 })) if (index === 3) break
    assert.ok(closed)
  })

  it("passes on its source's errors", async () => {
    using model = await tinyModel()
    async function* source() {
      yield flat(1)
      throw new Error('the source broke')
    }
    const results = predictEach(model, source())
    await assert.rejects(async () => {
      for await (const _ of results);
    }, /the source broke/)
  })
})

describe('features', () => {
  it('are the pooled vectors before the classifier', async () => {
    using model = await tinyModel()
    const [one, many] = [await model.features(flat(9)), await model.features([flat(9), flat(200)])]
    assert.equal(one.length, 1280)
    assert.equal(many.length, 2)
    assert.ok(one.every((value, i) => Math.abs(value - many[0]![i]!) < 1e-4))
    const classifier = (await model.stateDict()).get('classifier.1.weight')!
    assert.deepEqual(classifier.shape, [3, one.length])
  })

  it('reject if an image cannot be read', async () => {
    using model = await tinyModel()
    await assert.rejects(model.features([flat(9), '/no/such.jpg']), { code: 'ERR_FILE_NOT_FOUND' })
  })
})

describe('mostProbable', () => {
  it('chooses the same as a stable sort of all classes, for few and many', () => {
    const classes = Array.from({ length: 200 }, (_, i) => `class ${i}`)
    const logits = Float32Array.from(classes, (_, i) => (i * 7919) % 61) // each value several times
    const sorted = Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b)
    for (const count of [1, 5, 32, 33, 200, 300]) {
      const chosen = mostProbable(logits, classes, count)
      assert.deepEqual(
        chosen.map(({ index }) => index),
        sorted.slice(0, count),
      )
    }
  })

  it('orders equal scores by class', () => {
    const top = mostProbable(Float32Array.of(0, 1, 1, 0), ['a', 'b', 'c', 'd'], 3)
    assert.deepEqual(
      top.map(({ label }) => label),
      ['b', 'c', 'a'],
    )
  })
  it('does not overflow', () => {
    assert.deepEqual(mostProbable(Float32Array.of(1000, -1000), ['a', 'b'], 2), [
      { label: 'a', index: 0, score: 1 },
      { label: 'b', index: 1, score: 0 },
    ])
  })
})
