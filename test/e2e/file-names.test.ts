import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { inspectCheckpoint } from '../../lib/index.js'
import { encodeName, toPath } from '../../lib/util/file-name.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'

/** 'Groß' and 'é.png' in Latin-1. */
const FOLDER = 'Gro\udcdf'
const FILE = '\udce9.png'

describe('names of files and folders that are not UTF-8', function () {
  this.timeout(120_000)
  let root: string
  let photos: string
  let checkpoint: string

  /** `args` may contain such names. The system takes bytes, so a shell has to make them. */
  async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const command = [process.execPath, '--import', 'tsx', 'lib/cli/main.ts', ...args]
    const octal = (text: string) =>
      [...encodeName(text)].map(byte => `\\${byte.toString(8).padStart(3, '0')}`).join('')
    const child = spawn('sh', ['-c', `exec ${command.map(part => `"$(printf '${octal(part)}')"`).join(' ')}`])
    const output = { stdout: '', stderr: '' }
    child.stdout.on('data', chunk => (output.stdout += chunk))
    child.stderr.on('data', chunk => (output.stderr += chunk))
    const [code] = await once(child, 'close')
    return { code, ...output }
  }

  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos, { classes: ['checks', 'rows'] })
    for (const split of ['train', 'val']) {
      await rename(join(photos, split, 'checks'), toPath(join(photos, split, FOLDER)))
      await rename(toPath(join(photos, split, FOLDER, '1.png')), toPath(join(photos, split, FOLDER, FILE)))
    }
    checkpoint = join(root, 'run/best.pth')
  })
  after(removeTemporaryFolders)

  const train = (data: string, out: string) =>
    run(
      ...['train', '--data', data, '--model', 'mobilenet_v2', '--weights', 'none', '--input-size', '32'],
      ...[
        '--threads',
        '1',
        '--batch-size',
        '8',
        '--epochs',
        '1',
        '--cache',
        'memory',
        '--out',
        join(root, out),
      ],
    )

  it('work in training and reports, and as class names', async () => {
    const { code, stderr } = await train(photos, 'run')
    assert.equal(code, 0, stderr)
    const { metadata } = await inspectCheckpoint(checkpoint)
    assert.deepEqual(metadata.get('classes'), [FOLDER, 'rows'])
    assert.equal(await readFile(join(root, 'run/classes.txt'), 'utf8'), 'Gro\\u{dcdf}\nrows\n')
    const report = await readFile(join(root, 'run/report.html'), 'utf8')
    assert.ok(report.includes('Gro\\u{dcdf}') && !report.includes('\ufffd'))
  })

  it('are evaluated', async () => {
    const { code, stdout, stderr } = await run(
      'evaluate',
      '--data',
      photos,
      '--checkpoint',
      checkpoint,
      '--json',
    )
    assert.equal(code, 0, stderr)
    assert.ok(stdout.includes('"label":"Gro\\udcdf"'))
    assert.deepEqual(
      JSON.parse(stdout).classes.map(({ label }: { label: string }) => label),
      [FOLDER, 'rows'],
    )
  })

  it('work in predictions, from a folder and as arguments, and are shown escaped', async () => {
    const image = join(photos, 'val', FOLDER, FILE)
    for (const input of [photos, image]) {
      const json = await run('predict', input, '--checkpoint', checkpoint, '--json')
      assert.equal(json.code, 0, json.stderr)
      const files = JSON.parse(json.stdout).map(({ file }: { file: string }) => file)
      assert.ok(files.includes(image))
    }
    const text = await run('predict', image, '--checkpoint', checkpoint, '--top-k', '1')
    assert.ok(text.stdout.startsWith(`${join(photos, 'val')}/Gro\\u{dcdf}/\\u{dce9}.png: `), text.stdout)
  })

  it('work in the check, the preview, and annotation files for training', async () => {
    const doctor = await run('doctor', '--data', photos)
    assert.equal(doctor.code, 0, doctor.stdout + doctor.stderr)
    assert.match(doctor.stdout, /Gro\\u\{dcdf\} /)
    const preview = await run('preview', '--data', photos, '--out', join(root, 'preview.png'))
    assert.equal(preview.code, 0, preview.stderr)

    const annotate = await run('annotate', '--data', photos)
    assert.equal(annotate.code, 0, annotate.stderr)
    assert.equal(await readFile(join(photos, 'cls_classes.txt'), 'utf8'), 'Gro\\u{dcdf}\nrows\n')
    const lines = await readFile(join(photos, 'cls_train.txt'), 'latin1')
    assert.ok(lines.includes(`0;${photos}/train/Gro\xdf/\xe9.png\n`))
    const trained = await train(join(photos, 'cls_train.txt'), 'annotated')
    assert.equal(trained.code, 0, trained.stderr)
  })

  it('work as the name of the data set itself', async () => {
    const moved = join(root, FOLDER)
    await rename(photos, toPath(moved))
    const { code, stderr } = await run('evaluate', '--data', moved, '--checkpoint', checkpoint, '--json')
    assert.equal(code, 0, stderr)
    const missing = await run('evaluate', '--data', `${moved}/none`, '--checkpoint', checkpoint)
    assert.match(missing.stderr, /Gro\\u\{dcdf\}\/none: no such folder/)
  })
})
