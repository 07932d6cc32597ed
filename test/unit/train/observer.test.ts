import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Observe, TrainedRun } from '../../../lib/train/observer.js'
import type { TrainOptions } from '../../../lib/train/options.js'
import { startTraining } from '../../../lib/train/start.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { tinyModel } from '../../support/tiny-model.js'

describe('an observer of a training run', () => {
  let root: string
  let options: TrainOptions
  before(async () => {
    root = await temporaryFolder()
    await drawPhotos(join(root, 'photos'), { train: 2, val: 2 })
    options = { data: join(root, 'photos'), epochs: 1, batchSize: 6, workers: 1 }
  })
  after(removeTemporaryFolders)

  const follow = async (directory: string, ...observe: Observe[]) =>
    startTraining(
      await tinyModel({ classes: ['checks', 'columns', 'rows'], weights: null }),
      { ...options, directory: join(root, directory) },
      observe,
    )

  it('gets the events of training, is closed, and then gets the trained run', async () => {
    const seen: string[] = []
    let trained: TrainedRun | undefined
    await follow('observed', async ({ firstEpoch }) => {
      seen.push(`begin at ${firstEpoch}`)
      return {
        event: ({ type }) => seen.push(type),
        close: async () => void seen.push('close'),
        trained: async run => {
          seen.push('trained')
          trained = run
          assert.equal((await run.evaluate(2)).worst.length, 2)
        },
      }
    })
    assert.deepEqual(
      seen.filter(type => type !== 'checkpoint'),
      ['begin at 1', 'step', 'epoch', 'close', 'trained'],
    )
    assert.equal(trained!.config.architecture, 'mobilenet_v2')
    assert.equal(trained!.history.length, 1)
  })

  it('is optional: training alone writes no report and no event file', async () => {
    options = { ...options, report: true, tensorboard: true }
    await follow('alone', async () => null)
    const files = await readdir(join(root, 'alone'))
    assert.ok(files.includes('best.pth'))
    assert.deepEqual(
      files.filter(name => /report|tfevents/.test(name)),
      [],
    )
  })

  it('fails the run if it cannot start or finish', async () => {
    const failing = async () => {
      throw new Error('no room')
    }
    await assert.rejects(follow('begin', failing), /no room/)
    await assert.rejects(
      follow('close', async () => ({ close: failing })),
      /no room/,
    )
  })
})
