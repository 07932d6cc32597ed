import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { TensorBoardWriter } from '../../../lib/report/tensorboard.js'
import { NO_PYTHON } from '../../support/python.js'
import { skip } from '../../support/skip.js'

const python = process.env.VISIONTORCH_TEST_PYTHON
const run = promisify(execFile)
const skipped = !python
  ? NO_PYTHON
  : spawnSync(python, ['-c', 'import tensorboard']).status !== 0
    ? 'that Python has no package tensorboard'
    : undefined

// Reads a directory with TensorBoard's own reader, which checks the CRCs, and prints { tag: [[step, value], ...] }.
const readBack = `
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={'scalars': 0})
events.Reload()
print(json.dumps({tag: [[e.step, e.value] for e in events.Scalars(tag)] for tag in events.Tags()['scalars']}))
`

describe('TensorBoard event files', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'visiontorch-tensorboard-'))
  })
  afterEach(() => rm(directory, { recursive: true }))

  async function readWithPython(): Promise<Record<string, [number, number][]>> {
    const { stdout } = await run(python!, ['-c', readBack, directory])
    return JSON.parse(stdout)
  }

  it('are records with the lengths and checksums of a TFRecord', async () => {
    const writer = await TensorBoardWriter.open(directory)
    await writer.close()
    const [name] = await readdir(directory)
    assert.match(name!, /^events\.out\.tfevents\.\d{10}\./)
    const bytes = await readFile(join(directory, name!))
    assert.equal(bytes.readBigUInt64LE(0), BigInt(bytes.length - 16))
    // The masked CRC-32C of the length 24 as TensorFlow's own writer stores it: its files begin with these bytes.
    assert.equal(bytes.subarray(0, 12).toString('hex'), '1800000000000000a37f4b22')
  })

  describe(`read by TensorBoard itself`, function () {
    this.timeout(120_000)
    before(function () {
      if (skipped) skip(this, skipped)
    })

    it("are read by TensorBoard's own reader as they were written", async () => {
      const writer = await TensorBoardWriter.open(directory)
      for (let step = 1; step <= 300; step++)
        writer.scalars(step, { 'loss/train': 1 / step, 'accuracy/val': 0.5 })
      writer.scalars(5_000_000_000, { 'learning rate': 1e-4 })
      await writer.close()
      const scalars = await readWithPython()
      assert.deepEqual(Object.keys(scalars).sort(), ['accuracy/val', 'learning rate', 'loss/train'])
      assert.deepEqual(
        scalars['loss/train'],
        Array.from({ length: 300 }, (_, index) => [index + 1, Math.fround(1 / (index + 1))]),
      )
      assert.deepEqual(scalars['learning rate'], [[5_000_000_000, Math.fround(1e-4)]])
    })

    it('have the figures of an epoch under the usual names', async () => {
      const writer = await TensorBoardWriter.open(directory)
      writer.epoch({
        epoch: 7,
        learningRate: 0.5,
        trainLoss: 0.75,
        trainTop1: 0.625,
        validationLoss: 1.5,
        top1: 0.5,
        top5: 1,
        imagesPerSecond: 128,
        seconds: 3,
      })
      await writer.close()
      assert.deepEqual(await readWithPython(), {
        'loss/train': [[7, 0.75]],
        'loss/validation': [[7, 1.5]],
        'accuracy/train top-1': [[7, 0.625]],
        'accuracy/validation top-1': [[7, 0.5]],
        'accuracy/validation top-5': [[7, 1]],
        'learning rate': [[7, 0.5]],
        'images per second': [[7, 128]],
      })
    })

    it('of a resumed run replace the lost steps', async () => {
      const killed = await TensorBoardWriter.open(directory)
      for (const step of [1, 2, 3]) killed.scalars(step, { loss: 10 + step })
      await killed.close()
      const resumed = await TensorBoardWriter.open(directory, 3)
      for (const step of [3, 4]) resumed.scalars(step, { loss: 20 + step })
      await resumed.close()
      assert.deepEqual((await readWithPython()).loss, [
        [1, 11],
        [2, 12],
        [3, 23],
        [4, 24],
      ])
    })
  })
})
