import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { mobilenetV2, resnet18 } from 'visiontorch'
import { shapes, writeShapes } from '../../examples/support/shapes.js'

const run = promisify(execFile)

describe('the examples', function () {
  this.timeout(300_000)
  let directory: string
  let photos: string
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'visiontorch-examples-'))
    photos = join(directory, 'photos')
    await writeShapes(photos, { train: 4, val: 2, heldOut: 1 })
  })
  after(() => rm(directory, { recursive: true }))

  it('predict: shows the three most probable classes of each picture', async () => {
    const checkpoint = join(directory, 'model.pth')
    using model = await mobilenetV2({ classes: ['cat', 'dog', 'owl'], widthMult: 0.25 })
    await model.save(checkpoint)
    const files = ['star', 'moon'].map(shape => join(photos, 'val', shape, `${shape}-0000.jpg`))
    const lines = await example('predict', '--checkpoint', checkpoint, ...files)
    assert.equal(lines.length, 2)
    for (const [index, line] of lines.entries()) {
      assert.ok(line.startsWith(`${files[index]}: `))
      assert.deepEqual(line.match(/cat|dog|owl/g)?.sort(), ['cat', 'dog', 'owl'])
    }
  })

  it('fine-tune: starts from weights for another number of classes, trains, evaluates, and writes a report', async () => {
    const weights = join(directory, 'resnet18.pth')
    using model = await resnet18({ numClasses: 10 })
    await model.save(weights, { format: 'state_dict' })
    const out = join(directory, 'fine-tuned')
    const lines = await example(
      'fine-tune',
      photos,
      '--weights',
      weights,
      '--epochs',
      '2',
      '--directory',
      out,
    )
    assert.match(lines[1]!, /^epoch 2: [\d.]+% right$/)
    assert.match(lines.join('\n'), /triangle: precision [\d.]+, recall [\d.]+/)
    const files = await readdir(out)
    for (const name of ['best.pth', 'last.pth', 'metrics.csv', 'report.html', 'results.png']) {
      assert.ok(files.includes(name), `${name} is missing`)
    }
  })

  it('similar-images: finds the query itself first, and then other pictures', async () => {
    const weights = join(directory, 'mobilenet_v2.pth')
    using model = await mobilenetV2({ numClasses: 1000 })
    await model.save(weights, { format: 'state_dict' })
    const query = join(photos, 'val', 'star', 'star-0001.jpg')
    const lines = await example('similar-images', query, join(photos, 'val'), '--weights', weights)
    assert.equal(lines.length, 5)
    assert.match(lines[0]!, /^1\.000 {2}star.star-0001\.jpg$/)
  })

  it('resume: continues a run that was stopped', async () => {
    const lines = await example('resume', photos, join(directory, 'resumed'))
    assert.deepEqual(lines, ['stopped; last.pth holds weights, optimizer and position', 'done: 4 epochs'])
  })

  it('demo: trains, and classifies pictures that it has never seen', async () => {
    const command = ['run', '--silent', 'demo', '--', '--pictures', '16', '--epochs', '2']
    const { stdout } = await run('npm', command)
    const [figures, predicted] = stdout.split('Pictures that it never saw:')
    for (const shape of shapes) {
      assert.match(figures!, new RegExp(`^${shape} +[\\d.]+% +[\\d.]+% +50$`, 'm'))
      assert.match(predicted!, new RegExp(`^${shape}-0000\\.jpg +\\w+ [\\d.]+%`, 'm'))
    }
    const directory = /files are in (\S+):/.exec(predicted!)![1]!
    for (const name of ['best.pth', 'metrics.csv', 'report.html'])
      assert.ok((await readdir(directory)).includes(name), `${name} is missing`)
    await rm(directory, { recursive: true })
  })

  it('custom-loop: stops when the network is good enough', async () => {
    const out = join(directory, 'custom')
    const lines = await example('custom-loop', photos, '--target', '0', '--directory', out)
    assert.match(lines[0]!, /^24 images of circle, cross, moon, square, star, triangle; files go to /)
    assert.deepEqual(
      lines.slice(-2).map(line => line.replace(/[\d.]+%/, 'N%')),
      ['epoch 1: N% right', 'good enough'],
    )
  })
})

/** Runs an example as its first lines say, and returns the lines that it prints. */
async function example(name: string, ...args: string[]): Promise<string[]> {
  const { stdout } = await run(process.execPath, ['--import', 'tsx', `examples/${name}.ts`, ...args])
  return stdout.trimEnd().split('\n')
}
