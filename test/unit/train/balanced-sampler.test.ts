import assert from 'node:assert/strict'
import { cp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { TrainOptions } from '../../../lib/train/options.js'
import { resolveOptions } from '../../../lib/train/options.js'
import { train } from '../../../lib/train.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { tinyModel } from '../../support/tiny-model.js'

const classes = ['checks', 'columns', 'rows']

describe("training with sampler: 'balanced'", () => {
  let root: string
  let photos: string
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos, { train: 9, val: 2, size: 33 })
    for (let i = 1; i < 9; i++) await rm(join(photos, `train/rows/${i}.png`))
  })
  after(removeTemporaryFolders)

  let runs = 0
  async function trained(
    options: TrainOptions,
  ): Promise<{ directory: string; weights: unknown; trainTop1: number }> {
    using model = await tinyModel({ classes })
    const directory = join(root, `run-${++runs}`)
    const all = {
      data: photos,
      directory,
      epochs: 2,
      batchSize: 5,
      report: false,
      schedule: 'constant',
    } as const
    const { history } = await train(model, { ...all, sampler: 'balanced', ...options })
    const weights = [...(await model.stateDict())].map(([, { data }]) => data)
    return { directory, weights, trainTop1: history[0]!.trainTop1 }
  }

  it('gives the same weights with any number of workers and with a cache, and others than shuffling', async () => {
    const { weights } = await trained({ workers: 1 })
    assert.deepEqual((await trained({ workers: 7 })).weights, weights)
    assert.deepEqual((await trained({ workers: 2, cache: 'memory' })).weights, weights)
    assert.notDeepEqual((await trained({ sampler: 'shuffle' })).weights, weights)
    assert.notDeepEqual((await trained({ seed: 1 })).weights, weights)
  })

  it('resumes to the same weights, even in the middle of an epoch', async () => {
    const { weights } = await trained({})
    using model = await tinyModel({ classes })
    const directory = join(root, 'interrupted')
    const controller = new AbortController()
    const run = train(model, {
      ...{ data: photos, directory, epochs: 2, batchSize: 5, report: false, schedule: 'constant' },
      sampler: 'balanced',
      signal: controller.signal,
    })
    await assert.rejects(async () => {
      for await (const event of run)
        if (event.type === 'step' && event.epoch === 1 && event.step === 2) controller.abort()
    })
    using resumed = await tinyModel({ classes })
    await cp(directory, `${directory}-copy`, { recursive: true })
    await train(resumed, { resume: true, directory: `${directory}-copy` })
    assert.deepEqual(
      [...(await resumed.stateDict())].map(([, { data }]) => data),
      weights,
    )
  })

  it('works on features that are computed once, and with class weights', async () => {
    const { weights } = await trained({ freezeEpochs: 2, augmentation: 'none', classWeights: [1, 2, 3] })
    assert.ok(weights)
  })

  it('cannot be combined with options that do the same', () => {
    const refused = (options: TrainOptions, message: RegExp) =>
      assert.throws(() => resolveOptions({ sampler: 'balanced', ...options }), {
        code: 'ERR_INVALID_ARGUMENT',
        message,
      })
    refused({ classWeights: 'balanced' }, /Leave one of them out/)
    refused({ repeatedAugmentation: 3 }, /Leave out repeatedAugmentation/)
    assert.throws(() => resolveOptions({ sampler: 'weighted' } as never), {
      message: /sampler: expected one of shuffle, balanced/,
    })
  })

  it('weights the copies of repeated augmentation by their classes', async () => {
    const { weights } = await trained({
      sampler: 'shuffle',
      repeatedAugmentation: 2,
      classWeights: 'balanced',
    })
    assert.ok(weights)
  })
})
