import assert from 'node:assert/strict'
import type { CheckpointValue } from '../../../lib/native/native.js'
import { resolveOptions } from '../../../lib/train/options.js'
import { newState, savedRun, toCheckpointValue, trainingEntry } from '../../../lib/train/state.js'

const row = {
  epoch: 1,
  learningRate: 0.01,
  trainLoss: 0.7,
  trainTop1: 0.5,
  validationLoss: 0.6,
  top1: 0.75,
  top5: 1,
  imagesPerSecond: 12.5,
  seconds: 3,
}
const given = { data: 'photos', epochs: 5, classWeights: [1, 2] }
const state = { ...newState(), epoch: 1, step: 2, history: [row], best: row }

/** The record of a run in last.pth, with one value replaced: `training.history.0.epoch`. */
function saved(path?: string, value?: CheckpointValue): CheckpointValue {
  const training = trainingEntry(state, resolveOptions({ epochs: 5 }), given)
  const root = new Map<CheckpointValue, CheckpointValue>([
    ['classes', ['a', 'b']],
    ['training', training],
  ])
  if (path === undefined) return root
  const keys = path.split('.')
  const last = keys.pop()!
  let at: CheckpointValue = root
  for (const key of keys) at = at instanceof Map ? at.get(key)! : (at as CheckpointValue[])[Number(key)]!
  ;(at as Map<CheckpointValue, CheckpointValue>).set(last, value!)
  return root
}

describe('savedRun', () => {
  it('reads the record of the run in last.pth', () => {
    const options = { autoOrient: false, ...given }
    assert.deepEqual(savedRun(saved(), 'last.pth'), { state, options, classes: ['a', 'b'] })
  })

  it("reads the epoch of torchvision's references, which count from 0", () => {
    const root = toCheckpointValue({ epoch: 4, optimizer: {}, lr_scheduler: {} })
    assert.equal(savedRun(root, 'model_4.pth').state.epoch, 5)
  })

  it("reads the preset's former name, 'seed', as the present one", () => {
    const { options } = savedRun(saved('training.options.preset', 'seed'), 'last.pth')
    assert.equal(options.preset, 'classification-pytorch')
  })

  it('refuses any other file', () => {
    assert.throws(() => savedRun(new Map(), 'best.pth'), {
      code: 'ERR_CHECKPOINT_MISMATCH',
      message: /best\.pth: expected a checkpoint that training can continue/,
    })
  })

  const script = '<script>alert(1)</script>'
  const wrong: [string, CheckpointValue, RegExp][] = [
    ['training.history.0.imagesPerSecond', script, /history\[0\]\.imagesPerSecond: expected a number/],
    ['training.history.0.epoch', 2, /history\[0\]\.epoch: expected an integer from 1 to 1/],
    ['training.history.0.top1', 1.5, /top1: expected a number from 0 to 1/],
    ['training.history.0.trainLoss', Number.NaN, /trainLoss/],
    ['training.history', [new Map(), new Map()], /history: expected an array of at most 1 epochs/],
    ['training.best', script, /best: expected a dictionary/],
    ['training.sampler', 5, /sampler: expected a dictionary/],
    ['training.sampler.epoch', -1, /sampler\.epoch/],
    ['training.sampler.step', 1e12, /sampler\.step/],
    ['training.sums.loss', 'x', /sums\.loss/],
    ['training.options.directory', '/etc', /options\.directory: expected no such option/],
    ['training.options.epochs', 'x'.repeat(1e6), /epochs: expected an integer/],
    ['training.options.nonsense', 1, /unknown option 'nonsense'/],
    ['training.options.data', 'x'.repeat(10_000), /options\.data: expected a path/],
    ['training', 'x', /training: expected a dictionary/],
    ['classes', ['a', 1], /classes: expected names/],
    ['classes', ['x'.repeat(5000)], /classes: expected names of at most 1000 characters/],
  ]
  for (const [path, value, message] of wrong) {
    const shown = typeof value === 'string' ? value.slice(0, 30) : JSON.stringify(value)
    it(`refuses ${shown} as ${path}`, () => {
      assert.throws(
        () => savedRun(saved(path, value), 'last.pth'),
        (error: Error & { code: string }) => {
          assert.equal(error.code, 'ERR_CHECKPOINT_MISMATCH')
          assert.match(error.message, /^last\.pth: the training state in this file is not valid: /)
          assert.match(error.message, message)
          assert.ok(error.message.length < 1000)
          return true
        },
      )
    })
  }
})
