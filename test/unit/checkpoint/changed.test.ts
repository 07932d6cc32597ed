import assert from 'node:assert/strict'
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadModel, type Model, type RawImage } from '../../../lib/index.js'
import { native } from '../../../lib/native/native.js'
import { smallNetwork } from '../../support/small-network.js'

const image: RawImage = {
  data: Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 7919) & 255),
  width: 32,
  height: 32,
  channels: 3,
}

describe('a checkpoint that changes on disk', () => {
  let directory: string
  let file: string
  let first: string
  let second: string
  let expected: unknown

  const predict = (model: Model) => model.predict(image, { topK: 3 })

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-changed-'))
    file = join(directory, 'model.pth')
    first = join(directory, 'first.pth')
    second = join(directory, 'second.pth')
    for (const [path, seed] of [
      [first, 1],
      [second, 2],
    ] as const) {
      using model = await smallNetwork({ seed })
      await model.save(path)
    }
    using model = await loadModel(first)
    expected = await predict(model)
  })
  beforeEach(() => copyFileSync(first, file))
  after(() => rmSync(directory, { recursive: true }))

  const changes: Record<string, () => void> = {
    'cut off': () => truncateSync(file, 4096),
    'overwritten with another model': () => writeFileSync(file, readFileSync(second), { flag: 'r+' }),
    'replaced by another model': () => {
      copyFileSync(second, `${file}.new`)
      renameSync(`${file}.new`, file)
    },
    removed: () => rmSync(file),
  }

  for (const [name, change] of Object.entries(changes)) {
    it(`does not matter to a model that was loaded from it: ${name}`, async () => {
      using model = await loadModel(file)
      change()
      assert.deepEqual(await predict(model), expected)
      // The first batch of another size makes the model pack the weights again.
      const [one, two] = await model.predict([image, image], { topK: 3, batchSize: 2 })
      assert.deepEqual(one, two)
      await model.save(`${file}.saved`)
      using saved = await loadModel(`${file}.saved`)
      assert.deepEqual(await predict(saved), expected)
    })
  }

  it('is an error if it is truncated between opening and reading', async () => {
    const checkpoint = await native().openCheckpoint(file, { verify: false })
    truncateSync(file, 4096)
    await assert.rejects(checkpoint.read(), {
      code: 'ERR_FILE_READ',
      message: /was truncated while it was being read/,
    })
  })

  it('is an error if it is overwritten between opening and reading', async () => {
    utimesSync(file, 1, 1)
    const checkpoint = await native().openCheckpoint(file, { verify: false })
    writeFileSync(file, readFileSync(second), { flag: 'r+' })
    await assert.rejects(checkpoint.read(), {
      code: 'ERR_FILE_READ',
      message: /was changed while it was being read/,
    })
  })

  const whole = { averaged: true, classifier: 'whole', strict: true } as const

  it('leaves a model unchanged if reading the weights fails', async () => {
    using model = await loadModel(first)
    utimesSync(file, 1, 1)
    const checkpoint = await native().openCheckpoint(file, { verify: false })
    writeFileSync(file, readFileSync(second), { flag: 'r+' })
    await assert.rejects(model.network.loadStateDict(checkpoint, whole), { code: 'ERR_FILE_READ' })
    assert.deepEqual(await predict(model), expected)
  })

  it('is read completely if it is replaced between opening and reading', async () => {
    const checkpoint = await native().openCheckpoint(file, { verify: false })
    changes['replaced by another model']!()
    using model = await smallNetwork({ seed: 2 })
    await model.network.loadStateDict(checkpoint, whole)
    assert.deepEqual(await predict(model), expected)
  })

  describe('with mmap: true', () => {
    it('gives the same predictions', async () => {
      using model = await loadModel(file, { mmap: true })
      assert.deepEqual(await predict(model), expected)
    })

    it('is not affected if the file is replaced or removed', async () => {
      using model = await loadModel(file, { mmap: true })
      changes['replaced by another model']!()
      assert.deepEqual(await predict(model), expected)
      changes.removed!()
      await model.save(`${file}.saved`)
      using saved = await loadModel(`${file}.saved`)
      assert.deepEqual(await predict(saved), expected)
    })

    it('refuses anything but a boolean', async () => {
      await assert.rejects(loadModel(file, { mmap: 1 as unknown as boolean }), {
        code: 'ERR_INVALID_ARGUMENT',
        message: /^mmap: expected/,
      })
    })
  })
})
