import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { uniformInt } from 'pure-rand/distribution/uniformInt'
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus'
import {
  type CheckpointValue,
  loadModel,
  Model,
  readCheckpoint,
  writeCheckpoint,
} from '../../../lib/index.js'
import { resolveOptions } from '../../../lib/train/options.js'
import { newState, savedRun, trainingEntry } from '../../../lib/train/state.js'
import { VisionTorchError } from '../../../lib/util/errors.js'
import { tinyModel } from '../../support/tiny-model.js'

/** Replacements of a value: every type, with its extremes. */
const VALUES: readonly CheckpointValue[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  0.5,
  1000,
  2 ** 31,
  2 ** 53,
  2n ** 70n,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  '',
  'x',
  '\u001b[31m\u202e',
  'k'.repeat(10_000),
  '__proto__',
  [],
  [null],
  [[1, 2, 3, 4]],
  Array(2000).fill(0),
  new Map(),
  new Map([['__proto__', 1]]),
]

describe("the metadata of visiontorch's own checkpoints, with any of the values replaced", function () {
  this.timeout(120_000)
  let directory: string
  let path: string
  let saved: Map<CheckpointValue, CheckpointValue>
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-metadata-'))
    path = join(directory, 'last.pth')
    using model = await tinyModel()
    await model.save(path)
    saved = (await readCheckpoint(path)) as typeof saved
    const row = { epoch: 1, learningRate: 0.1, trainLoss: 1, trainTop1: 0.5, validationLoss: 1, top1: 0.5 }
    const epoch = { ...row, top5: 1, imagesPerSecond: 10, seconds: 3 }
    const state = { ...newState(), epoch: 1, step: 2, history: [epoch], best: epoch }
    const given = {
      data: 'photos',
      epochs: 5,
      classWeights: [1, 2, 3],
      optimizer: { name: 'sgd', momentum: 0.5 },
    }
    saved.set('training', trainingEntry(state, resolveOptions({ epochs: 5 }), given))
  })
  after(() => rmSync(directory, { recursive: true }))

  /** Copies the metadata with one to three values or entries changed. */
  function* changed(count: number, seed: number): Generator<Map<CheckpointValue, CheckpointValue>> {
    const random = xoroshiro128plus(seed)
    const below = (limit: number) => uniformInt(random, 0, limit - 1)
    /** Changes a random value inside. */
    const change = (value: CheckpointValue): CheckpointValue => {
      if (value instanceof Map && value.size > 0 && below(8) > 0) {
        const keys = [...value.keys()]
        const key = keys[below(keys.length)]!
        if (below(10) === 0) value.delete(key)
        else value.set(key, change(value.get(key)!))
        return value
      }
      if (Array.isArray(value) && value.length > 0 && below(4) > 0) {
        const at = below(value.length)
        value[at] = change(value[at]!)
        return value
      }
      return structuredClone(VALUES[below(VALUES.length)]!)
    }
    for (let i = 0; i < count; i++) {
      const copy = structuredClone(new Map([...saved].filter(([key]) => key !== 'state_dict')))
      for (let changes = 1 + below(3); changes > 0; changes--) {
        const keys = [...copy.keys()]
        const key = keys[below(keys.length)]!
        copy.set(key, change(copy.get(key)!))
      }
      yield copy
    }
  }

  it('is read as it was saved', () => {
    assert.equal(savedRun(saved, 'last.pth').state.step, 2)
  })

  it('can be resumed from, or is refused with a VisionTorchError: 2,000 times', () => {
    const outcomes = { read: 0, refused: 0 }
    for (const metadata of changed(2000, 1)) {
      try {
        savedRun(metadata, 'last.pth')
        outcomes.read++
      } catch (error) {
        assert.ok(error instanceof VisionTorchError, (error as Error).stack)
        assert.ok(error.message.length < 1000, `a message of ${error.message.length} characters`)
        outcomes.refused++
      }
    }
    assert.ok(Math.min(outcomes.read, outcomes.refused) > 100, JSON.stringify(outcomes))
  })

  it('is loaded, or refused with a VisionTorchError: 60 times', async () => {
    const outcomes = { loaded: 0, refused: 0 }
    for (const metadata of changed(60, 2)) {
      await writeCheckpoint(path, new Map([...metadata, ['state_dict', saved.get('state_dict')!]]))
      const result = await loadModel(path, { device: 'cpu' }).catch((error: unknown) => error)
      if (result instanceof Model) {
        result.dispose()
        outcomes.loaded++
      } else {
        assert.ok(result instanceof VisionTorchError, (result as Error).stack)
        assert.ok(result.message.length < 1000, `a message of ${result.message.length} characters`)
        outcomes.refused++
      }
    }
    assert.ok(Math.min(outcomes.loaded, outcomes.refused) > 5, JSON.stringify(outcomes))
  })
})
