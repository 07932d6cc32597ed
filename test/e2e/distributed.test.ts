import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { evaluate, loadModel, type TrainingResult, type TrainOptions, train } from '../../lib/index.js'
import { createNetwork, type Run } from '../support/distributed-child.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { freePort } from '../support/port.js'
import { onOneThread } from '../support/small-network.js'
import { tensorHashes } from '../support/tensors.js'

interface Outcome {
  result?: TrainingResult
  code?: string
  name?: string
  message?: string
  steps: number
}

describe('training on several processes', function () {
  this.timeout(180_000)
  onOneThread()

  let root: string
  let photos: string
  const children: ChildProcess[] = []
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos)
  })
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })
  after(removeTemporaryFolders)

  /** Returns the outcomes of the runs on each rank; fewer outcomes than runs if a rank was killed. */
  async function play(ranks: readonly (readonly Run[])[], timeout = 60): Promise<Outcome[][]> {
    const masterPort = await freePort()
    const place = (rank: number) => ({ rank, worldSize: ranks.length, masterPort, timeout })
    return Promise.all(
      ranks.map(async (runs, rank) => {
        const placed = runs.map(({ options, ...run }) => ({
          ...run,
          options: { data: photos, ...options, distributed: place(rank) },
        }))
        const child = spawn(
          process.execPath,
          ['--import', 'tsx', 'test/support/distributed-child.ts', JSON.stringify(placed)],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        )
        children.push(child)
        const output = await text(child.stdout!)
        return output
          .split('\n')
          .filter(line => line !== '')
          .map(line => JSON.parse(line))
      }),
    )
  }
  const everywhere = (size: number, ...runs: Run[]): Run[][] => Array.from({ length: size }, () => runs)
  const alone = async ({ network, options }: Run): Promise<TrainingResult> =>
    train(await createNetwork(network), { data: photos, inputSize: 32, ...options })
  const at = (name: string) => join(root, name)
  /** Removes the figures that depend on time. */
  const figures = (result: TrainingResult | undefined) =>
    result?.history.map(({ seconds: _, imagesPerSecond: _i, ...row }) => row)

  describe('with batches of 5 on two of them', () => {
    const everything: TrainOptions = {
      epochs: 2,
      batchSize: 5,
      optimizer: 'adam',
      learningRate: 1e-3,
      labelSmoothing: 0.1,
      classWeights: 'balanced',
      clipGradNorm: 1,
      ema: 0.9,
      augmentation: { mixup: 0.2 },
      report: false,
    }
    const frozen: TrainOptions = {
      epochs: 2,
      freezeEpochs: 2,
      batchSize: 5,
      augmentation: 'none',
      report: false,
    }
    const stepwise: TrainOptions = { ...frozen, augmentation: 'flip', dtype: 'bfloat16' }
    const cases = {
      'without batch norm': { network: 'squeezenet1_1', options: everything },
      'frozen, on cached features': { network: 'small', options: frozen },
      'frozen, in bfloat16': { network: 'small', options: stepwise },
    } satisfies Record<string, Run>
    let outcomes: Outcome[][]
    before(async () => {
      const runs = Object.values(cases).map(({ network, options }, i) => ({
        network,
        options: { ...options, directory: at(`two-${i}`) },
      }))
      outcomes = await play(everywhere(2, ...runs))
    })

    for (const [i, [name, { network, options }]] of Object.entries(cases).entries()) {
      it(`is the same, bit for bit, as one process with gradientAccumulation 2: a network ${name}`, async () => {
        const directory = at(`one-${i}`)
        const one = await alone({ network, options: { ...options, directory, gradientAccumulation: 2 } })
        for (const rank of [0, 1]) {
          assert.equal(outcomes[rank]![i]?.message, undefined)
          assert.deepEqual(figures(outcomes[rank]![i]!.result), figures(one))
        }
        for (const file of ['last.pth', 'best.pth'])
          assert.deepEqual(
            await tensorHashes(at(`two-${i}/${file}`)),
            await tensorHashes(join(directory, file)),
            file,
          )
      })
    }
  })

  it('gives three processes the same weights, and exact figures over all images', async () => {
    const directory = at('three')
    const run: Run = { network: 'small', options: { epochs: 2, batchSize: 5, directory, report: true } }
    const outcomes = (await play(everywhere(3, run))).map(([outcome]) => outcome!)
    for (const { message, result } of outcomes) {
      assert.equal(message, undefined)
      assert.deepEqual(figures(result), figures(outcomes[0]!.result))
    }
    const model = await loadModel(join(directory, 'best.pth'))
    const { top1, loss, count } = await evaluate(model, photos, { batchSize: 5 })
    const { best } = outcomes[0]!.result!
    assert.deepEqual({ top1, loss, count }, { top1: best.top1, loss: best.validationLoss, count: 12 })
    assert.ok(existsSync(join(directory, 'report.html')))
  })

  it('learns with syncBatchNorm as one process with one large batch does, if the batches do not divide evenly', async () => {
    // 24 images in batches of 5: the second update of an epoch has none for rank 2.
    const options: TrainOptions = { epochs: 2, report: false, learningRate: 0.005 }
    const run: Run = {
      network: 'without dropout',
      options: { ...options, batchSize: 5, syncBatchNorm: true, directory: at('synchronized') },
    }
    const outcomes = (await play(everywhere(3, run))).map(([outcome]) => outcome!)
    const one = await alone({
      network: 'without dropout',
      options: { ...options, batchSize: 15, directory: at('large') },
    })
    for (const { message, result } of outcomes) {
      assert.equal(message, undefined)
      for (const [i, { trainLoss, validationLoss }] of one.history.entries()) {
        const epoch = result!.history[i]!
        assert.ok(Math.abs(epoch.trainLoss - trainLoss) <= 1e-5, `${epoch.trainLoss}, alone ${trainLoss}`)
        assert.ok(Math.abs(epoch.validationLoss - validationLoss) <= 1e-4)
      }
    }
  })

  it('takes single images with syncBatchNorm, but not without it', async () => {
    const odd = join(root, 'odd')
    await drawPhotos(odd, { train: 7 })
    const options: TrainOptions = { data: odd, epochs: 1, learningRate: 1e-6, report: false }
    const run = (own: TrainOptions): Run => ({
      network: 'deep',
      options: { ...options, batchSize: 1, ...own },
    })
    const outcomes = await play(
      everywhere(2, run({ syncBatchNorm: true, directory: at('pairs') }), run({ directory: at('singles') })),
    )
    // Of the 21 images, the last joins those before it.
    const one = await alone({ network: 'deep', options: { ...options, batchSize: 2, directory: at('twos') } })
    for (const [pairs, singles] of outcomes) {
      assert.equal(pairs!.message, undefined)
      assert.equal(pairs!.steps, 10)
      for (const [i, { trainLoss }] of one.history.entries()) {
        const epoch = pairs!.result!.history[i]!
        assert.ok(Math.abs(epoch.trainLoss - trainLoss) <= 1e-4, `${epoch.trainLoss}, alone ${trainLoss}`)
      }
      assert.equal(singles!.code, 'ERR_INVALID_ARGUMENT')
      assert.match(singles!.message!, /only one value per channel.*at least 2 images, syncBatchNorm, or/)
    }
  })

  it('resumes bit for bit after a stop, which all ranks make after the same step', async () => {
    const options: TrainOptions = { epochs: 3, batchSize: 5, ema: 0.9, seed: 3 }
    const straight: Run = { network: 'small', options: { ...options, directory: at('straight') } }
    const stopped: Run = { network: 'small', options: { ...options, directory: at('stopped') } }
    const resumed: Run = { network: 'small', options: { ...options, directory: at('stopped'), resume: true } }
    const stop: Run = { ...stopped, signal: { name: 'SIGTERM', step: 4 } }
    const [first, second] = await play([
      [straight, stopped, resumed],
      [straight, stop, resumed],
    ])
    for (const outcomes of [first!, second!]) {
      assert.deepEqual(
        outcomes.map(({ name, steps }) => [name, steps]),
        [
          [undefined, 9],
          ['AbortError', 5],
          [undefined, 4],
        ],
      )
    }
    for (const file of ['last.pth', 'best.pth'])
      assert.deepEqual(
        await tensorHashes(at(`stopped/${file}`)),
        await tensorHashes(at(`straight/${file}`)),
        file,
      )
  })

  it('resumes bit for bit after processes were killed (with --large, ten times each)', async function () {
    const kills = process.env.VISIONTORCH_TEST_LARGE ? 10 : 1
    this.timeout(180_000 * kills)
    const options: TrainOptions = { epochs: 4 * kills, batchSize: 5, optimizer: 'adam', report: false }
    const run = (name: string): Run => ({ network: 'small', options: { ...options, directory: at(name) } })
    await play(everywhere(2, run('never-killed')))
    const killed = run('killed')
    killed.options.resume = true
    for (const rank of Array.from({ length: 2 * kills }, (_, i) => 1 - (i % 2))) {
      const signal = {
        name: 'SIGKILL',
        step: 1 + Math.floor(Math.random() * 4),
        delay: Math.random() * 40,
      } as const
      const runs = everywhere(2, killed)
      runs[rank] = [{ ...killed, signal }]
      const outcomes = await play(runs)
      assert.deepEqual(outcomes[rank], [])
      const [other] = outcomes[1 - rank]!
      assert.equal(other?.code, 'ERR_DISTRIBUTED')
      assert.match(other.message!, new RegExp(`^rank ${rank} `))
    }
    await play(everywhere(2, killed))
    assert.deepEqual(
      await tensorHashes(at('killed/last.pth')),
      await tensorHashes(at('never-killed/last.pth')),
    )
  })

  it('names a rank that hangs, after the timeout', async () => {
    const run: Run = { network: 'small', options: { epochs: 2, batchSize: 5, directory: at('hang') } }
    const hanging: Run = { ...run, signal: { name: 'sleep', step: 2 } }
    const [[first], [second]] = (await play([[run], [hanging]], 5)) as [Outcome[], Outcome[]]
    assert.equal(first?.code, 'ERR_DISTRIBUTED')
    assert.match(first.message!, /^rank 1 did not answer within 5 s/)
    assert.equal(second?.code, 'ERR_DISTRIBUTED') // once it wakes up
  })

  it('names the rank that has different options or data, and the difference', async () => {
    const less = join(root, 'less')
    await drawPhotos(less, { train: 7 })
    const options: TrainOptions = { epochs: 1, batchSize: 5 }
    const run = (own: TrainOptions): Run => ({ network: 'small', options: { ...options, ...own } })
    const ranks = await play([
      [run({ directory: at('other-1') }), run({ directory: at('other-2') })],
      [run({ learningRate: 0.5 }), run({ data: less })],
    ])
    for (const outcomes of ranks) {
      assert.deepEqual(
        outcomes.map(({ code }) => code),
        ['ERR_DISTRIBUTED', 'ERR_DISTRIBUTED'],
      )
      const [options, data] = outcomes
      assert.match(
        options!.message!,
        /^rank 1 differs from rank 0 in learningRate: 0\.5, but rank 0 has 0\.01/,
      )
      assert.match(
        data!.message!,
        /^rank 1 differs from rank 0 in training images: 21 \(\w+\), but rank 0 has 24/,
      )
    }
  })

  it('fails on all ranks when the loss becomes infinite on one', async () => {
    const run: Run = {
      network: 'squeezenet1_1',
      options: { epochs: 2, batchSize: 5, learningRate: 1e30, clipGradNorm: null, directory: at('diverged') },
    }
    for (const [outcome] of await play(everywhere(2, run))) assert.equal(outcome?.code, 'ERR_NON_FINITE_LOSS')
  })

  it('resumes on another number of processes with the same updates', async () => {
    const common: TrainOptions = { batchSize: 5, schedule: { name: 'constant' }, report: false }
    const run = (options: TrainOptions): Run => ({
      network: 'squeezenet1_1',
      options: { ...common, ...options },
    })
    const directory = at('fewer')
    await play(everywhere(2, run({ epochs: 1, directory })))
    await alone(run({ epochs: 2, directory, resume: true }))
    await alone(run({ epochs: 2, directory: at('whole'), gradientAccumulation: 2 }))
    assert.deepEqual(await tensorHashes(at('fewer/last.pth')), await tensorHashes(at('whole/last.pth')))
  })
})
