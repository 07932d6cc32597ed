import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { loadModel } from '../../lib/index.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { hasTerminals, Terminal } from '../support/terminal.js'
import { tinyModel } from '../support/tiny-model.js'

const program = join(import.meta.dirname, '../../dist/cli/main.js')
const { FORCE_COLOR: _, ...environment } = process.env

/** Runs the built program, as a user does. */
function visiontorch(args: string[], { input, env = {} }: { input?: Buffer; env?: NodeJS.ProcessEnv } = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    input,
    encoding: 'utf8',
    env: { ...environment, ...env },
  })
  return { status, stdout, stderr }
}

async function paint(path: string, red: number): Promise<void> {
  const image = sharp({
    create: { width: 48, height: 40, channels: 3, background: { r: red, g: 90, b: 10 } },
  })
  await image.png().toFile(path)
}

describe('the command line', function () {
  this.timeout(120_000)
  let folder: string
  let checkpoint: string
  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    checkpoint = join(folder, 'model.pth')
    using model = await tinyModel()
    await model.save(checkpoint)
    await mkdir(join(folder, 'images/sub folder'), { recursive: true })
    await paint(join(folder, 'images/b.png'), 250)
    await paint(join(folder, 'images/a.png'), 10)
    await paint(join(folder, 'images/sub folder/c.png'), 100)
    await writeFile(join(folder, 'images/notes.txt'), 'no image')
    await writeFile(join(folder, 'broken.jpg'), 'no image either')
  })
  after(removeTemporaryFolders)

  it('lists its commands', () => {
    const { status, stdout, stderr } = visiontorch(['--help'])
    assert.equal(status, 0)
    assert.equal(stderr, '')
    for (const command of ['predict', 'summary', 'weights', 'bench'])
      assert.match(stdout, new RegExp(`\\n  ${command} `))
    assert.match(visiontorch(['--version']).stdout, /^\d+\.\d+\.\d+\n$/)
  })

  it('groups the options of train in its help, which ends with examples', () => {
    const { stdout } = visiontorch(['train', '--help'])
    for (const heading of ['Options', 'Optimization', 'Freezing', 'Images', 'Examples'])
      assert.match(stdout, new RegExp(`^${heading}:$`, 'm'))
    for (const line of stdout.split('\n')) assert.ok(line.length <= 80, line)
  })

  describe(`on a terminal of 40 columns${hasTerminals ? '' : ' (skipped: no script(1) to make one)'}`, () => {
    before(function () {
      if (!hasTerminals) this.skip()
    })
    for (const args of [
      ['--help'],
      ['train', '--help'],
      ['weights', 'pull', '--help'],
      ['weights', 'list'],
      ['summary', '--model', 'mobilenet_v2'],
      ['inspect', 'CHECKPOINT'],
    ]) {
      it(`${args.join(' ')} fits`, async () => {
        const words = args.map(word => (word === 'CHECKPOINT' ? checkpoint : word))
        const terminal = new Terminal([process.execPath, program, ...words], { columns: 40 })
        assert.equal(await terminal.end(), 0)
        // Sentences start at the margin, and the terminal wraps them.
        const indented = terminal.text.split('\r\n').filter(line => /^ /.test(line))
        assert.ok(indented.length > 2, terminal.text)
        for (const line of indented)
          assert.ok(line.length <= 40 || !line.trim().includes(' '), `${line.length}: ${line}`)
      })
    }
  })

  const wrong: [string, string[], RegExp][] = [
    ['no command', [], /Usage: visiontorch/],
    ['an unknown command', ['predcit', 'a.jpg'], /Did you mean predict\?/],
    ['an unknown option', ['predict', 'a.jpg', '--topk', '3'], /Did you mean --top-k\?/],
    ['a missing argument', ['predict'], /missing required argument 'image'/],
    ['a number out of range', ['predict', 'a.jpg', '--top-k', '0'], /Expected an integer of at least 1/],
    ['no model', ['predict', 'a.jpg'], /expected --checkpoint FILE, or --model NAME/],
    ['an unsupported opset', ['export', 'm.onnx', '--opset', '12'], /Expected an integer from 17 to 22/],
    ['an unknown network', ['summary', '--model', 'resent50'], /Did you mean 'resnet50'\?/],
    [
      'options that exclude each other',
      ['predict', 'a', '--checkpoint', 'c', '--model', 'vgg16'],
      /cannot be used with/,
    ],
    [
      'an unknown device',
      ['predict', 'a', '--model', 'vgg16', '--device', 'gpu'],
      /Expected auto, cpu, cuda or cuda:N/,
    ],
  ]
  for (const [what, args, message] of wrong) {
    it(`treats ${what} as wrong usage: exit code 2`, () => {
      const { status, stdout, stderr } = visiontorch(args)
      assert.match(stderr, message)
      assert.equal(stdout, '')
      assert.equal(status, 2)
    })
  }

  it('exports a model as an ONNX file', async () => {
    const path = join(folder, 'model.onnx')
    const args = ['export', path, '--checkpoint', checkpoint, '--softmax', '--no-dynamic-batch']
    const { status, stdout, stderr } = visiontorch(args)
    assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: `wrote ${path}\n` })
    using model = await loadModel(checkpoint)
    await model.export(join(folder, 'same.onnx'), { softmax: true, dynamicBatch: false })
    assert.deepEqual(await readFile(path), await readFile(join(folder, 'same.onnx')))
  })

  it('fails with one line that names the cause, and a stack trace only with --verbose', () => {
    const args = ['predict', 'a.jpg', '--checkpoint', '/no/such.pth']
    const { status, stdout, stderr } = visiontorch(args)
    assert.match(stderr, /^error: .*\/no\/such\.pth.*\n$/)
    assert.equal(stdout, '')
    assert.equal(status, 1)
    assert.match(visiontorch([...args, '--verbose']).stderr, /\n.*VisionTorchError/)
  })

  describe('predict', () => {
    it('shows the classes of an image, the most probable first', () => {
      const { status, stdout } = visiontorch([
        'predict',
        join(folder, 'images/a.png'),
        '--checkpoint',
        checkpoint,
      ])
      assert.equal(status, 0)
      assert.match(stdout, /^( *\d+\.\d% {2}(ant|bee|cow)\n){3}$/)
    })

    it('shows one line per image if one class is requested, and searches folders', () => {
      const images = join(folder, 'images')
      const { status, stdout } = visiontorch(['predict', images, '--checkpoint', checkpoint, '--top-k', '1'])
      assert.equal(status, 0)
      assert.deepEqual(
        stdout
          .trim()
          .split('\n')
          .map(line => line.replace(/: .*/, '')),
        ['a.png', 'b.png', 'sub folder/c.png'].map(name => join(images, name)),
      )
      assert.match(stdout, /a\.png: \d+\.\d% {2}(ant|bee|cow)\n/)
    })

    it('reads an image from stdin', async () => {
      const path = join(folder, 'images/a.png')
      const piped = visiontorch(['predict', '-', '--checkpoint', checkpoint], {
        input: await sharp(path).png().toBuffer(),
      })
      assert.equal(piped.status, 0)
      assert.equal(piped.stdout, visiontorch(['predict', path, '--checkpoint', checkpoint]).stdout)
    })

    it('prints one JSON document, in input order, with errors in place of unreadable images', () => {
      const files = ['images/b.png', 'broken.jpg', 'missing.jpg', 'images/a.png'].map(name =>
        join(folder, name),
      )
      const { status, stdout } = visiontorch([
        'predict',
        ...files,
        '--checkpoint',
        checkpoint,
        '--json',
        '--top-k',
        '2',
      ])
      const results = JSON.parse(stdout) as {
        file: string
        predictions?: { label: string; index: number; score: number }[]
        error?: { code: string; message: string }
      }[]
      assert.deepEqual(
        results.map(({ file }) => file),
        files,
      )
      assert.deepEqual(
        results.map(({ error }) => error?.code),
        [undefined, 'ERR_IMAGE_DECODE', 'ERR_FILE_NOT_FOUND', undefined],
      )
      for (const { predictions } of [results[0]!, results[3]!]) {
        assert.equal(predictions!.length, 2)
        assert.deepEqual(Object.keys(predictions![0]!), ['label', 'index', 'score'])
      }
      assert.equal(status, 1)
    })

    it('names unreadable files and goes on: exit code 1', () => {
      const files = [join(folder, 'broken.jpg'), join(folder, 'images/a.png')]
      const { status, stdout, stderr } = visiontorch([
        'predict',
        ...files,
        '--checkpoint',
        checkpoint,
        '--top-k',
        '1',
      ])
      assert.match(stdout, /a\.png: /)
      assert.match(stderr, /^error: .*broken\.jpg.*\n1 of 2 images could not be read\n$/)
      assert.equal(status, 1)
    })

    it('refuses a folder without images', async () => {
      await mkdir(join(folder, 'empty'), { recursive: true })
      const { status, stderr } = visiontorch(['predict', join(folder, 'empty'), '--checkpoint', checkpoint])
      assert.match(stderr, /empty: expected a folder with images/)
      assert.equal(status, 1)
    })

    it('uses colours only on request or on a terminal, and never with NO_COLOR', () => {
      const args = ['predict', join(folder, 'images'), '--checkpoint', checkpoint]
      const sequence = '\u001b['
      assert.ok(!visiontorch(args).stdout.includes(sequence))
      assert.ok(visiontorch(args, { env: { FORCE_COLOR: '1' } }).stdout.includes(sequence))
      assert.ok(!visiontorch(args, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } }).stdout.includes(sequence))
    })

    it('does not fail when its reader closes the pipe', async () => {
      const many = join(folder, 'many')
      await mkdir(many)
      for (let i = 0; i < 200; i++) await copyFile(join(folder, 'images/a.png'), join(many, `${i}.png`))
      const child = spawn(process.execPath, [
        program,
        'predict',
        many,
        '--checkpoint',
        checkpoint,
        '--batch-size',
        '1',
      ])
      let stderr = ''
      child.stderr.on('data', text => {
        stderr += text
      })
      child.stdout.once('data', () => child.stdout.destroy())
      const [status] = await once(child, 'close')
      assert.equal(stderr, '')
      assert.equal(status, 0)
    })

    it('exits with 130 when it is interrupted', async () => {
      const args = [join(folder, 'images/a.png'), '-', '--batch-size', '1', '--checkpoint', checkpoint]
      const child = spawn(process.execPath, [program, 'predict', ...args])
      await once(child.stdout, 'data') // now it waits for an image on stdin
      child.kill('SIGINT')
      let stderr = ''
      child.stderr.on('data', text => {
        stderr += text
      })
      const [status, signal] = await once(child, 'close')
      assert.match(stderr, /interrupted/)
      assert.deepEqual([status, signal], [130, null])
    })
  })

  it('summary --json prints layers and counts', () => {
    const { status, stdout } = visiontorch(['summary', '--model', 'mobilenet_v2', '--json'])
    assert.equal(status, 0)
    const summary = JSON.parse(stdout)
    assert.equal(summary.parameterCount, 3_504_872)
    assert.equal((summary.multiplyAdds / 1e9).toFixed(2), '0.30')
  })

  it('bench --json prints the times of each measurement', () => {
    const args = [
      'bench',
      '--model',
      'resnet18',
      '--batch-size',
      '1',
      '--train-batch-size',
      '2',
      '--input-size',
      '32',
    ]
    const { status, stdout } = visiontorch([...args, '--seconds', '0', '--json'])
    assert.equal(status, 0)
    const { timings } = JSON.parse(stdout)
    assert.deepEqual(
      timings.map(({ task, batchSize }: { task: string; batchSize: number }) => [task, batchSize]),
      [
        ['training step', 2],
        ['inference', 1],
      ],
    )
  })
})
