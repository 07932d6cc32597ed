import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, copyFile, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import sharp from 'sharp'
import type { EndEvent, Evaluation, StartEvent, TrainingEvent } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { tinyModel } from '../support/tiny-model.js'

describe('the commands train, evaluate and preview', () => {
  let root: string
  let photos: string
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'my photos')
    await drawPhotos(photos)
  })
  after(removeTemporaryFolders)

  const start = (...args: string[]): ChildProcess =>
    spawn(process.execPath, ['--import', 'tsx', 'lib/cli/main.ts', ...args], { stdio: 'pipe' })

  const run = (...args: string[]) => runWith(process.env, ...args)

  async function runWith(env: NodeJS.ProcessEnv, ...args: string[]) {
    const child = spawn(process.execPath, ['--import', 'tsx', 'lib/cli/main.ts', ...args], { env })
    const output = { stdout: '', stderr: '' }
    child.stdout!.on('data', chunk => (output.stdout += chunk))
    child.stderr!.on('data', chunk => (output.stderr += chunk))
    const [code] = await once(child, 'close')
    return { code: code as number, ...output }
  }

  const trainArgs = (out: string, ...more: string[]) => [
    ...['train', '--data', photos, '--model', 'mobilenet_v2', '--weights', 'none', '--input-size', '32'],
    ...['--threads', '1', '--batch-size', '8', '--no-report', '--out', join(root, out), ...more],
  ]
  const lines = (text: string): TrainingEvent[] =>
    text
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))

  it('train, print one event per line, and evaluate the result', async () => {
    const options = ['--epochs', '2', '--optimizer', 'adamw,weightDecay=0.1', '--lr', '0.002', '--ema', '0.5']
    const { code, stdout, stderr } = await run(...trainArgs('json', ...options, '--json'))
    assert.equal(code, 0, stderr)
    const events = lines(stdout)
    const [first, last] = [events[0] as StartEvent, events.at(-1) as EndEvent]
    assert.equal(first.type, 'start')
    assert.deepEqual(first.options.optimizer, {
      name: 'adamw',
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0.1,
    })
    assert.equal(first.options.learningRate, 0.002)
    assert.equal(last.type, 'end')
    assert.equal(last.history.length, 2)

    const evaluated = await run(
      'evaluate',
      '--data',
      photos,
      '--checkpoint',
      join(root, 'json/best.pth'),
      '--json',
    )
    assert.equal(evaluated.code, 0, evaluated.stderr)
    const figures = JSON.parse(evaluated.stdout) as Evaluation
    assert.deepEqual(Object.keys(figures), ['top1', 'top5', 'loss', 'count', 'classes', 'confusion'])
    assert.equal(figures.top1, last.best.top1)
    assert.ok(Math.abs(figures.loss - last.best.validationLoss) < 1e-5)

    const out = join(root, 'evaluation')
    const text = await run(
      'evaluate',
      '--data',
      photos,
      '--checkpoint',
      join(root, 'json/best.pth'),
      '--out',
      out,
      '--predictions',
      join(root, 'predictions.csv'),
    )
    const rows = (await readFile(join(root, 'predictions.csv'), 'utf8')).trimEnd().split('\n')
    assert.equal(rows.length, 1 + figures.count)
    assert.match(rows[0]!, /^file,class,predicted,/)
    assert.match(text.stdout, /class +precision +recall +f1 +images/)
    assert.deepEqual(JSON.parse(await readFile(join(out, 'evaluation.json'), 'utf8')), figures)
    const { classes, confusion } = figures
    const [head, ...matrix] = (await readFile(join(out, 'confusion_matrix.csv'), 'utf8'))
      .trimEnd()
      .split('\n')
    assert.equal(head, ['true class', ...classes.map(({ label }) => label)].join())
    assert.deepEqual(
      matrix,
      confusion!.map((row, i) => [classes[i]!.label, ...row].join()),
    )
    for (const file of ['report.html', 'confusion_matrix.png', 'precision_recall.png', 'classes.csv'])
      await access(join(out, file))
  })

  it('stop at the first Ctrl-C with 130 and a checkpoint, and resume from there', async () => {
    const child = start(...trainArgs('stopped', '--epochs', '500', '--json'))
    let errors = ''
    child.stderr!.on('data', chunk => (errors += chunk))
    const closed = once(child, 'close')
    let interrupted = false
    for await (const line of createInterface({ input: child.stdout! })) {
      if (interrupted || (JSON.parse(line) as TrainingEvent).type !== 'step') continue
      interrupted = child.kill('SIGINT')
    }
    assert.equal((await closed)[0], 130)
    assert.match(errors, /saved .*last\.pth; continue with: visiontorch train --resume --out/)

    const resumed = await run('train', '--resume', '--out', join(root, 'stopped'), '--epochs', '1', '--json')
    assert.equal(resumed.code, 0, resumed.stderr)
    const end = lines(resumed.stdout).at(-1) as EndEvent
    assert.equal(end.history.length, 1)
  })

  it('also take the data as an argument', async () => {
    const [, , ...options] = trainArgs('argument', '--epochs', '1')
    const { code, stderr } = await run('train', ...options.with(0, photos))
    assert.equal(code, 0, stderr)
    const checkpoint = join(root, 'argument/best.pth')
    const evaluated = await run('evaluate', photos, '--checkpoint', checkpoint, '--json')
    assert.equal(JSON.parse(evaluated.stdout).count, 12, evaluated.stderr)
    const both = await run('evaluate', photos, '--data', root, '--checkpoint', checkpoint)
    assert.equal(both.code, 2)
    assert.match(both.stderr, /^error: expected DATA once, got '.*' and --data .*\. Leave one out\n$/)
  })

  it('print only the non-zero cells of the confusion matrix if there are more than 100 classes', async () => {
    const classes = Array.from({ length: 101 }, (_, i) => `class ${String(i).padStart(3, '0')}`)
    const data = join(root, 'many classes')
    for (const name of classes) {
      await mkdir(join(data, name), { recursive: true })
      await copyFile(join(photos, 'train/rows/0.png'), join(data, name, '0.png'))
    }
    const checkpoint = join(root, 'many.pth')
    using model = await tinyModel({ classes })
    await model.save(checkpoint)
    const args = ['evaluate', data, '--split', 'all', '--checkpoint', checkpoint, '--json']
    const { stdout, stderr } = await run(...args)
    const { confusion, confusions, count } = JSON.parse(stdout)
    assert.equal(confusion, undefined, stderr)
    assert.equal(count, 101)
    const predicted = confusions[0].predicted // the same image each time
    assert.deepEqual(
      confusions,
      classes.map((_, actual) => ({ actual, predicted, count: 1 })),
    )
  })

  it('refuse wrong input before they download anything', async () => {
    const refused = async (message: RegExp, ...args: string[]) => {
      const env = { ...process.env, VISIONTORCH_WEIGHTS_URL: 'http://127.0.0.1:1/', XDG_CACHE_HOME: root }
      const { stderr } = await runWith(env, ...args)
      assert.match(stderr, message)
    }
    await mkdir(join(root, 'used'))
    await writeFile(join(root, 'used/last.pth'), '')
    const train = ['train', photos, '--model', 'resnet18']
    await refused(/^error: --warmup-epochs: expected less than --epochs/, ...train, '--warmup-epochs', '20')
    await refused(
      /^error: --out: .*already holds a run\. Continue it with --resume/,
      ...train,
      '--out',
      join(root, 'used'),
    )
    await refused(/^error: --resume needs --out/, ...train, '--resume')
    await refused(
      /^error: .*none\.jpg: no such file/,
      'predict',
      join(root, 'none.jpg'),
      '--model',
      'resnet18',
    )
  })

  it('say in one line what is wrong', async () => {
    const wrong = async (code: number, message: RegExp, ...args: string[]) => {
      const result = await run(...args)
      assert.equal(result.code, code, result.stderr)
      assert.match(result.stderr, message)
      assert.doesNotMatch(result.stderr, /\n +at /)
    }
    await wrong(2, /expected DATA: a folder of images/, 'train')
    await wrong(
      2,
      /--epochs: expected an integer of at least 1, got 'many'/,
      ...trainArgs('many', '--epochs', 'many'),
    )
    await wrong(
      2,
      /--optimizer: .*got 'sdg'. Did you mean 'sgd'/,
      'train',
      '--data',
      photos,
      '--optimizer',
      'sdg',
    )
    await wrong(2, /unknown option '--epocs'/, 'train', '--data', photos, '--epocs', '3')
    await wrong(2, /Did you mean 'mobilenet_v2'/, ...trainArgs('x').with(4, 'mobilenet_v1'))
    await wrong(1, /nowhere: no such folder/, ...trainArgs('x').with(2, join(root, 'nowhere')))
    await wrong(
      2,
      /--batch-size: expected at most the 24 training images/,
      ...trainArgs('x', '--batch-size', '99'),
    )
  })

  it('draw a batch as the network sees it', async () => {
    const out = join(root, 'preview.png')
    const options = [
      '--batch-size',
      '6',
      '--input-size',
      '64',
      '--augmentation',
      'policy=trivialaugment,mixup=0.2',
    ]
    const { code, stderr } = await run('preview', '--data', photos, '--out', out, ...options)
    assert.equal(code, 0, stderr)
    const { width, height } = await sharp(out).metadata()
    assert.ok(width! > 3 * 64 && height! > 2 * 64)
    await rm(out)
  })

  it('draw each image of the batch unchanged, above the name of its class', async () => {
    const colors = { blue: [0, 0, 255], green: [0, 255, 0], red: [255, 0, 0] }
    const plain = join(root, 'plain')
    for (const [name, [r, g, b]] of Object.entries(colors)) {
      await mkdir(join(plain, name), { recursive: true })
      const create = { width: 64, height: 64, channels: 3, background: { r: r!, g: g!, b: b! } } as const
      for (const file of ['0.png', '1.png']) await sharp({ create }).toFile(join(plain, name, file))
    }
    const out = join(root, 'plain.png')
    const flags = ['--batch-size', '3', '--input-size', '64', '--augmentation', 'none', '--out', out]
    const { code, stderr } = await run('preview', plain, ...flags)
    assert.equal(code, 0, stderr)
    const { data, info } = await sharp(out).removeAlpha().raw().toBuffer({ resolveWithObject: true })
    const count = Object.fromEntries(Object.keys(colors).map(name => [name, 0]))
    for (let at = 0; at < data.length; at += info.channels)
      for (const [name, color] of Object.entries(colors))
        if (color.every((value, c) => data[at + c] === value)) count[name]!++
    // Three whole pictures, whichever the epoch starts with, and nothing else that is coloured.
    const shown = Object.values(count)
    assert.equal(
      shown.reduce((a, b) => a + b, 0),
      3 * 64 * 64,
    )
    assert.ok(shown.every(pixels => pixels % (64 * 64) === 0))
  })
})
