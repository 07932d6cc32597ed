import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RunDirectory } from '../../../lib/train/directory.js'

describe('the directory of a run', () => {
  let root: string
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'visiontorch-run-'))
  })
  afterEach(() => rm(root, { recursive: true }))

  const epoch = {
    epoch: 1,
    learningRate: 0.01,
    trainLoss: 0.5,
    trainTop1: 0.75,
    validationLoss: 0.25,
    top1: 0.9,
    top5: 1,
    imagesPerSecond: 123,
    seconds: 4.5,
  }

  it('holds the metrics as CSV and as JSON lines', async () => {
    const run = await RunDirectory.open(join(root, 'a', 'b'), 'resnet18', false)
    await run.writeMetrics([epoch, { ...epoch, epoch: 2 }])
    assert.equal(
      await readFile(join(run.path, 'metrics.csv'), 'utf8'),
      'epoch,learningRate,trainLoss,trainTop1,validationLoss,top1,top5,imagesPerSecond,seconds\n' +
        '1,0.01,0.5,0.75,0.25,0.9,1,123,4.5\n2,0.01,0.5,0.75,0.25,0.9,1,123,4.5\n',
    )
    const lines = (await readFile(join(run.path, 'metrics.jsonl'), 'utf8')).trim().split('\n')
    assert.deepEqual(
      lines.map(line => JSON.parse(line)),
      [epoch, { ...epoch, epoch: 2 }],
    )
    assert.deepEqual((await readdir(run.path)).sort(), ['metrics.csv', 'metrics.jsonl'])
  })

  it('without a path is the first free directory under runs/', async () => {
    const before = process.cwd()
    process.chdir(root)
    try {
      const [first, second] = [
        await RunDirectory.open(null, 'resnet18', false),
        await RunDirectory.open(null, 'resnet18', false),
      ]
      assert.match(first.path, /runs.resnet18-1$/)
      assert.match(second.path, /runs.resnet18-2$/)
    } finally {
      process.chdir(before)
    }
  })

  it('is not overwritten by another run, but resumed', async () => {
    await writeFile(join(root, 'last.pth'), '')
    await assert.rejects(RunDirectory.open(root, 'resnet18', false), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /already holds a run. Continue it with resume: true, or choose another folder/,
    })
    await RunDirectory.open(root, 'resnet18', true)
  })

  it('that cannot be created is an error with a remedy', async () => {
    await writeFile(join(root, 'file'), '')
    await assert.rejects(RunDirectory.open(join(root, 'file', 'run'), 'resnet18', false), {
      code: 'ERR_FILE_WRITE',
      message: /part of the path is a file/,
    })
    if (process.getuid?.() === 0)
      return console.log('      (as root no directory is read-only: not tested here)')
    await mkdir(join(root, 'locked'))
    await chmod(join(root, 'locked'), 0o500)
    await assert.rejects(RunDirectory.open(join(root, 'locked', 'run'), 'resnet18', false), {
      code: 'ERR_FILE_WRITE',
      message: /you have no permission to write there/,
    })
  })
})
