import assert from 'node:assert/strict'
import { createReadStream } from 'node:fs'
import { readFile, rename, truncate } from 'node:fs/promises'
import { join } from 'node:path'
import { fromAnnotations, writeAnnotations } from '../../../lib/data/annotations.js'
import type { Dataset } from '../../../lib/data/dataset.js'
import { ImageFolder } from '../../../lib/data/image-folder.js'
import { openDataset } from '../../../lib/data/open.js'
import { fromParquet } from '../../../lib/data/parquet.js'
import { fromSamples } from '../../../lib/data/samples.js'
import { fromCsv, fromJsonLines } from '../../../lib/data/table.js'
import { fromWebDataset } from '../../../lib/data/web-dataset.js'
import { checkDataset } from '../../../lib/doctor/dataset.js'
import { evaluate } from '../../../lib/evaluate/evaluate.js'
import { decode } from '../../../lib/image/decode.js'
import type { TrainOptions } from '../../../lib/train/options.js'
import { train } from '../../../lib/train.js'
import { removeTemporaryFolders, temporaryFolder, writeFiles } from '../../support/folder.js'
import { drawPhotos } from '../../support/photos.js'
import { allSamples, csvOf, writeParquet, writeShards } from '../../support/sources.js'
import { tinyModel } from '../../support/tiny-model.js'

const classes = ['checks', 'columns', 'rows']

describe('data sources', () => {
  let root: string
  let photos: string
  let folders: ImageFolder
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos, { train: 4, val: 2, size: 33 })
    folders = await ImageFolder.open(photos)
    const csv = csvOf(folders, photos)
    const rows = csv
      .trim()
      .split('\n')
      .map(row => row.split(','))
    await writeFiles(root, {
      'photos/all.csv': csv,
      'photos/all.tsv': csv.replaceAll(',', '\t').replace('path', 'Image').replace('label', 'species'),
      'photos/all.jsonl': rows
        .slice(1)
        .map(([file_name, label, split]) => `${JSON.stringify({ file_name, label, split, more: [1] })}\n`)
        .join(''),
    })
    await writeAnnotations(folders, join(root, 'annotations'))
    await writeShards(join(root, 'shards'), folders)
    await writeShards(join(root, 'compressed'), folders, 'tar.gz')
    await writeParquet(join(root, 'hub/data'), folders)
  })
  after(removeTemporaryFolders)

  const samples = () =>
    fromSamples(
      (async function* () {
        for (const { path, name: label, split } of allSamples(folders)) {
          // Alternates between the kinds of images.
          const bytes = await readFile(path)
          const images = [
            path,
            bytes,
            createReadStream(path),
            new Blob([new Uint8Array(bytes)]),
            await decode(path),
          ]
          yield { image: images[label.length % 5]!, label, split }
        }
      })(),
    )

  const sources: Record<string, () => Promise<Dataset>> = {
    'fromAnnotations()': () =>
      fromAnnotations(
        { train: join(root, 'annotations/cls_train.txt'), val: join(root, 'annotations/cls_test.txt') },
        join(root, 'annotations/cls_classes.txt'),
      ),
    'fromCsv()': () => fromCsv(join(photos, 'all.csv')),
    'fromCsv() with tabs and named columns': () =>
      fromCsv(join(photos, 'all.tsv'), { image: 'Image', label: 'species' }),
    'fromJsonLines()': () => fromJsonLines(join(photos, 'all.jsonl')),
    'fromSamples()': samples,
    'fromWebDataset()': () =>
      fromWebDataset([0, 1].map(i => join(root, `shards/photos-${['train', 'val'][i]}-{0..0}.tar`))),
    'fromWebDataset() of .tar.gz': () => openDataset(join(root, 'compressed')),
    'fromParquet()': () =>
      fromParquet({
        train: join(root, 'hub/data/train-00000-of-00001.parquet'),
        val: join(root, 'hub/data/val-00000-of-00001.parquet'),
      }),
    'a folder of tar files': () => openDataset(join(root, 'shards')),
    'a folder of the Hub': () => openDataset(join(root, 'hub')),
    'a CSV file that is named as data': () => openDataset(join(photos, 'all.csv')),
  }

  let runs = 0
  async function weightsAfterTraining(data: Dataset, options: TrainOptions = {}): Promise<unknown> {
    using model = await tinyModel({ classes })
    const directory = join(root, `run-${++runs}`)
    await train(model, { data, directory, epochs: 1, batchSize: 5, seed: 1, report: false, ...options })
    return [...(await model.stateDict())].map(([, { data }]) => data)
  }

  it('give bit for bit the same weights for the same images', async function () {
    this.timeout(60_000)
    const expected = await weightsAfterTraining(folders)
    for (const [name, open] of Object.entries(sources)) {
      const dataset = await open()
      assert.deepEqual(dataset.classes, classes, name)
      assert.deepEqual(
        [...dataset.splits].map(([split, { length }]) => [split, length]),
        [
          ['train', 12],
          ['val', 6],
        ],
        name,
      )
      assert.deepEqual(await weightsAfterTraining(dataset), expected, name)
    }
    const reversed = await fromSamples(
      [...allSamples(folders)]
        .reverse()
        .map(({ path, name, split }) => ({ image: path, label: name, split })),
    )
    assert.notDeepEqual(await weightsAfterTraining(reversed), expected, 'the order of the images counts')
  })

  it('hold out the same images as their folders would', async () => {
    const drawn = join(root, 'photos/train')
    const [a, b] = [await ImageFolder.open(drawn), await ImageFolder.open(drawn)]
    const table = join(drawn, 'labels.csv')
    const all = [...a.split('train'), ...a.split('val')]
    await writeFiles(drawn, {
      'labels.csv': `file,class\n${all.map(({ path, label }) => `${path},${a.classes[label]}\n`).join('')}`,
    })
    const dataset = await fromCsv(table)
    assert.deepEqual(
      dataset
        .split('val')
        .map(({ path }) => path)
        .sort(),
      b
        .split('val')
        .map(({ path }) => path)
        .sort(),
    )
  })

  it('are evaluated, and their worst images shown, in archives as in files', async () => {
    using model = await tinyModel({ classes })
    const expected = await evaluate(model, folders)
    for (const data of [join(root, 'shards'), join(root, 'hub'), join(photos, 'all.csv')]) {
      const { loss, confusion, worst } = await evaluate(model, data)
      assert.deepEqual([loss, confusion], [expected.loss, expected.confusion])
      assert.equal(worst.length, 6)
    }
  })

  it('give a report pictures of images that have no file of their own', async () => {
    using model = await tinyModel({ classes })
    const directory = join(root, 'reported')
    await train(model, { data: await samples(), directory, epochs: 1, batchSize: 5, cache: 'memory' })
    const page = await readFile(join(directory, 'report.html'), 'utf8')
    assert.ok(page.split('data:image/webp').length - 1 >= 1, 'no pictures')
  })

  it('are checked by the doctor', async () => {
    for (const data of [join(root, 'shards'), join(root, 'hub'), join(photos, 'all.csv')]) {
      const report = await checkDataset(data)
      assert.deepEqual(
        report.splits.map(({ name, images }) => [name, images]),
        [
          ['train', 12],
          ['val', 6],
        ],
      )
      assert.deepEqual(
        report.findings.filter(({ severity }) => severity === 'error'),
        [],
      )
    }
  })

  it('resume by their path, except that data from a program must be passed again', async () => {
    using model = await tinyModel({ classes })
    const directory = join(root, 'resumed')
    const table = join(photos, 'all.csv')
    await train(model, { data: table, directory, epochs: 1, batchSize: 5, report: false })
    await train(model, { resume: true, directory, epochs: 2 })
    const other = join(root, 'resumed-samples')
    await train(model, { data: await samples(), directory: other, epochs: 1, batchSize: 5, report: false })
    const resume = async () => train(model, { resume: true, directory: other, epochs: 2 })
    await assert.rejects(resume, { code: 'ERR_INVALID_ARGUMENT', message: /^data: expected a folder/ })
    await train(model, { data: await samples(), resume: true, directory: other, epochs: 2 })
  })

  it('cannot be written as annotations if images have no file of their own', async () => {
    await assert.rejects(writeAnnotations(await samples(), join(root, 'never')), {
      code: 'ERR_DATASET',
      message: /expected a separate file for each image/,
    })
  })

  it('name the tar file if it is truncated or missing when an image is read', async () => {
    await writeShards(join(root, 'changing'), folders)
    const path = join(root, 'changing/photos-train-0.tar')
    const dataset = await fromWebDataset(path)
    const last = dataset.split('train').at(-1)!
    await truncate(path, 2000)
    await assert.rejects(last.read!(), {
      code: 'ERR_FILE_READ',
      message: /photos-train-0\.tar: .*become shorter/,
    })
    await rename(path, `${path}.old`)
    await assert.rejects(last.read!(), { code: 'ERR_FILE_READ', message: /no such file/ })
  })
})
