import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ImageFolder } from '../../lib/data/image-folder.js'
import { loadModel } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { NO_PYTHON, python } from '../support/python.js'
import { hasShared, NO_SHARED, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'
import { allSamples, csvOf, writeParquet, writeShards } from '../support/sources.js'

/** Trains a small network for an epoch from the command line. */
const trainFrom = (data: string, out: string, ...more: string[]) => {
  const options = `--data ${data} --out ${out} --model mobilenet_v2 --weights none --epochs 1 --batch-size 4`
  const rest = '--input-size 32 --threads 1 --no-report'
  return run('train', ...options.split(' '), ...rest.split(' '), ...more)
}

const run = (...args: string[]) =>
  spawnSync(process.execPath, ['--import', 'tsx', 'lib/cli/main.ts', ...args], {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })

describe('data sets from real users', () => {
  afterEach(removeTemporaryFolders)

  it('train and resume in the folder layout of classification-pytorch', async () => {
    const root = await temporaryFolder()
    await drawPhotos(join(root, 'datasets'), { classes: ['checks', 'rows'], train: 6, val: 2 })
    await mkdir(join(root, 'model_data'))
    await writeFile(join(root, 'model_data', 'cls_classes.txt'), 'checks\nrows\n')
    await rename(join(root, 'datasets', 'val'), join(root, 'datasets', 'test'))
    run('annotate', '--data', join(root, 'datasets'), '--out', root)
    await rename(join(root, 'cls_classes.txt'), join(root, 'unused.txt'))
    const out = join(root, 'logs')
    const first = trainFrom(root, out)
    assert.equal(first.status, 0, first.stderr)
    assert.match(first.stderr, /2 classes, 12 training images, 4 validation images/)
    const second = run('train', '--resume', '--out', out, '--epochs', '2', '--threads', '1')
    assert.equal(second.status, 0, second.stderr)
    assert.match(second.stdout, /epoch +[12] +2$/m)
  })

  it('are converted to annotation files with one line per image: its class and its path', async () => {
    const root = await temporaryFolder()
    await drawPhotos(join(root, 'data'), { classes: ['checks', 'rows'], train: 2, val: 1 })
    const lists = async (...flags: string[]) => {
      const { status, stderr, stdout } = run(
        'annotate',
        join(root, 'data'),
        '--out',
        join(root, 'lists'),
        ...flags,
      )
      assert.equal(status, 0, stderr)
      const names = ['cls_classes.txt', 'cls_train.txt', 'cls_test.txt']
      assert.deepEqual(stdout.match(/cls_\w+\.txt +\d+/g)?.sort(), [
        'cls_classes.txt  2',
        'cls_test.txt  2',
        'cls_train.txt  4',
      ])
      return Promise.all(names.map(name => readFile(join(root, 'lists', name), 'utf8')))
    }
    const lines = (folder: string, split: string, count: number) =>
      ['checks', 'rows']
        .flatMap((name, id) =>
          Array.from({ length: count }, (_, i) => `${id};${join(folder, split, name, `${i}.png`)}\n`),
        )
        .join('')
    const expected = (folder: string) => [
      'checks\nrows\n',
      lines(folder, 'train', 2),
      lines(folder, 'val', 1),
    ]
    assert.deepEqual(await lists(), expected(join(root, 'data')))
    assert.deepEqual(await lists('--relative'), expected('../data'))
  })

  it('accept a list of classes in every command', async () => {
    const root = await temporaryFolder()
    await drawPhotos(root, { classes: ['checks', 'rows'], train: 4, val: 2 })
    const list = join(root, 'names.txt')
    await writeFile(list, 'rows\nchecks\n')
    const out = join(root, 'run')
    const trained = trainFrom(root, out, '--classes', list)
    assert.equal(trained.status, 0, trained.stderr)
    assert.equal(await readFile(join(out, 'classes.txt'), 'utf8'), 'rows\nchecks\n')
    const annotated = run('annotate', '--data', root, '--classes', list)
    assert.equal(annotated.status, 0, annotated.stderr)
    assert.equal(await readFile(join(root, 'cls_classes.txt'), 'utf8'), 'rows\nchecks\n')
    for (const command of [
      ['doctor', '--data', root],
      ['preview', '--data', root, '--out', join(root, 'preview.png')],
      ['evaluate', '--data', root, '--checkpoint', join(out, 'best.pth')],
    ]) {
      const { status, stderr } = run(...command, '--classes', list)
      assert.equal(status, 0, `${command[0]}: ${stderr}`)
    }
    await writeFile(list, 'rows\nche\nck\n')
    assert.match(run('doctor', '--data', root, '--classes', list).stdout, /lack the class 'checks'/)
  })

  it('train from CSV, JSON Lines, tar shards and Parquet to the same weights as from folders', async () => {
    const root = await temporaryFolder()
    const photos = join(root, 'photos')
    await drawPhotos(photos, { classes: ['checks', 'rows'], train: 2, val: 1 })
    const folders = await ImageFolder.open(photos)
    const rows = [...allSamples(folders)].map(({ path, name, split }) => ({ file: path, class: name, split }))
    await writeFile(join(photos, 'all.csv'), csvOf(folders, photos))
    await writeFile(join(root, 'all.jsonl'), rows.map(row => `${JSON.stringify(row)}\n`).join(''))
    await writeShards(join(root, 'shards'), folders)
    await writeParquet(join(root, 'hub/data'), folders)
    const weights = async (data: string, ...flags: string[]) => {
      const out = join(root, `run-${data.replaceAll('/', '-')}`)
      const { status, stderr } = trainFrom(join(root, data), out, ...flags)
      assert.equal(status, 0, `${data}: ${stderr}`)
      assert.match(stderr, /2 classes, 4 training images, 2 validation images/, data)
      using model = await loadModel(join(out, 'last.pth'), { device: 'cpu' })
      return (await model.stateDict()).get('classifier.1.weight')!.data
    }
    const expected = await weights('photos')
    assert.deepEqual(await weights('photos/all.csv'), expected)
    assert.deepEqual(await weights('all.jsonl', '--columns', 'image=file,label=class'), expected)
    assert.deepEqual(await weights('shards'), expected)
    assert.deepEqual(await weights('hub'), expected)
  }).timeout(60_000)

  it('refuse --columns where there are none', async () => {
    const root = await temporaryFolder()
    await drawPhotos(root, { classes: ['checks', 'rows'], train: 1, val: 1 })
    await writeShards(join(root, 'shards'), await ImageFolder.open(root))
    const refused = (...args: string[]) => {
      const { status, stderr } = run('doctor', ...args)
      assert.equal(status, 2)
      return stderr
    }
    assert.match(refused(root, '--columns', 'label=x'), /--columns: expected the data to be a table/)
    assert.match(refused('--columns', 'label=x'), /--columns: expected DATA with it/)
    const shard = join(root, 'shards/photos-train-0.tar')
    assert.match(refused(shard, '--columns', 'split=x'), /--columns: expected only label for tar shards/)
  })

  it('are refused before any file is written if a class name has a line break', async () => {
    const root = await temporaryFolder()
    await drawPhotos(root, { classes: ['checks', 'rows'], train: 4, val: 2 })
    for (const split of ['train', 'val']) await rename(join(root, split, 'rows'), join(root, split, 'a\nb'))
    const out = join(root, 'run')
    const { status, stderr } = trainFrom(root, out)
    assert.equal(status, 1)
    assert.match(stderr, /^error: .*'a\\u\{a\}b' in .* contains a line break\. Rename it/)
    assert.equal(existsSync(out), false)
  })

  it('of ../shared/cases train, or say what is wrong', async function () {
    if (!hasShared) return skip(this, NO_SHARED)
    if (python === undefined) return skip(this, NO_PYTHON)
    this.timeout(120_000)
    const root = await temporaryFolder()
    const environment = { ...process.env, VISIONTORCH_TEST_REFERENCE: join(process.cwd(), 'test/reference') }
    execFileSync(python, [shared('cases/make.py'), root], { env: environment })
    const data = (name: string) => join(root, 'data', name)
    const classes = trainFrom(data('class_called_train'), join(root, 'a'))
    assert.equal(classes.status, 0, classes.stderr)
    const taken = /Interpreted 'train' as classes, not splits, .* as 'bus', 'car' does\./
    assert.match(classes.stderr, taken)
    const preview = ['--out', join(root, 'preview.png'), '--batch-size', '4']
    assert.match(run('preview', '--data', data('class_called_train'), ...preview).stderr, taken)
    assert.match(classes.stderr, /3 classes/)
    const last = trainFrom(data('last_batch_of_one'), join(root, 'b'))
    assert.equal(last.status, 0, last.stderr)
    const gbk = trainFrom(data('last_batch_of_one'), join(root, 'c'), '--classes', data('gbk_classes.txt'))
    assert.equal(gbk.status, 1)
    assert.match(gbk.stderr, /gbk_classes\.txt:2: is not UTF-8\. It reads '狗' if it is GBK/)
  })
})
