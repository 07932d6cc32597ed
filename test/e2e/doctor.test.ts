import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { crc32 } from 'node:zlib'
import sharp from 'sharp'
import { checkDataset, type DatasetReport } from '../../lib/doctor/dataset.js'
import { link, removeTemporaryFolders, temporaryFolder, writeFiles } from '../support/folder.js'
import { hasShared, NO_SHARED, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'

/** Makes a small image of two colours, different for each seed. */
const picture = (seed: number) =>
  sharp({
    create: { width: 40, height: 32, channels: 3, background: { r: seed % 256, g: (seed * 7) % 256, b: 90 } },
  })

const jpeg = (seed: number) => picture(seed).jpeg().toBuffer()

/** Writes good images, `count` in each class of each split. */
async function plant(root: string, splits: string[], classes: string[], count: number): Promise<void> {
  let seed = 1
  const files: Record<string, Uint8Array> = {}
  for (const split of splits) {
    for (const name of classes) {
      for (let i = 0; i < count; i++) files[`${split}/${name}/${i}.jpg`] = await jpeg(seed++)
    }
  }
  await writeFiles(root, files)
}

/** Returns the places of a kind of finding, relative to the root, with their details. */
function found(report: DatasetReport, kind: string): string[] {
  const places = report.findings.find(finding => finding.kind === kind)?.places ?? []
  return places.map(({ path, detail }) =>
    `${relative(report.root, path)}: ${detail}`.replaceAll(`${report.root}/`, '').replace(/: $/, ''),
  )
}

describe('the data set check', () => {
  afterEach(removeTemporaryFolders)

  it('finds nothing in a good data set', async () => {
    const root = await temporaryFolder()
    await plant(root, ['train', 'val'], ['cat', 'dog'], 3)
    const seen: number[] = []
    const report = await checkDataset(root, { onProgress: ({ done }) => seen.push(done) })
    assert.deepEqual(report, {
      root,
      classes: ['cat', 'dog'],
      splits: ['train', 'val'].map(name => ({
        name,
        images: 6,
        classes: [
          { label: 'cat', images: 3 },
          { label: 'dog', images: 3 },
        ],
      })),
      findings: [],
      ok: true,
    })
    assert.equal(seen.at(-1), 12)
  })

  it('finds every fault in one pass', async () => {
    const root = await temporaryFolder()
    await plant(root, ['train', 'val'], ['cat', 'dog', 'owl'], 2)
    const [whole, other, third] = [await jpeg(201), await jpeg(202), await jpeg(203)]
    const noise = await sharp(Buffer.from(Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7919) % 251)), {
      raw: { width: 64, height: 64, channels: 3 },
    })
      .jpeg()
      .toBuffer()
    const bomb = await picture(209).png().toBuffer()
    bomb.writeUInt32BE(16_000, 16) // the width and height in its header
    bomb.writeUInt32BE(16_000, 20)
    bomb.writeUInt32BE(crc32(bomb.subarray(12, 29)), 29)
    await writeFiles(root, {
      'train/cat/zero.jpg': '',
      'train/cat/text.jpg': '<html>not found</html>',
      'train/cat/short.jpg': noise.subarray(0, noise.length / 2),
      'train/cat/bomb.png': bomb,
      'train/cat/png.jpg': await picture(210).png().toBuffer(),
      'train/cat/turned.jpg': await picture(211).withMetadata({ orientation: 6 }).jpeg().toBuffer(),
      'train/cat/inks.jpg': await picture(212).toColourspace('cmyk').jpeg().toBuffer(),
      'train/cat/notes.txt': 'notes',
      'train/cat/photo': await jpeg(213),
      'train/loose.jpg': await jpeg(214),
      'train/cat/same.jpg': whole,
      'train/cat/again.jpg': whole,
      'train/dog/both.jpg': other,
      'train/owl/both.jpg': other,
      'train/dog/leak.jpg': third,
      'val/dog/leaked.jpg': third,
      'train/empty/readme.txt': '',
      'val/Dog/1.jpg': await jpeg(215),
    })
    for (let i = 0; i < 24; i++)
      await writeFile(join(root, 'train', 'cat', `more${i}.jpg`), await jpeg(220 + i))
    await link(root, 'train/dog/gone.jpg', 'nowhere.jpg')
    const report = await checkDataset(root)
    assert.equal(report.ok, false)
    assert.deepEqual(report.classes, ['cat', 'dog', 'empty', 'owl'])
    assert.deepEqual(found(report, 'layout'), [
      `: no images of the class 'empty' in train. Add images, or remove the folder`,
      `: 'train' lacks the class 'Dog' of val. Did you mean 'dog'? Give the folders the same name, or remove this one`,
    ])
    assert.deepEqual(found(report, 'unreadable'), ['train/dog/gone.jpg: ENOENT'])
    assert.deepEqual(found(report, 'empty-file'), ['train/cat/zero.jpg'])
    assert.deepEqual(
      found(report, 'not-an-image').map(text => text.split(':')[0]),
      ['train/cat/text.jpg'],
    )
    assert.deepEqual(
      found(report, 'truncated').map(text => text.split(':')[0]),
      ['train/cat/short.jpg'],
    )
    assert.deepEqual(found(report, 'bomb'), ['train/cat/bomb.png: has more than 178,956,970 pixels'])
    assert.deepEqual(found(report, 'conflicting-labels'), [
      "train/dog/both.jpg: as 'dog' in train; also train/owl/both.jpg (train, 'owl')",
    ])
    assert.deepEqual(found(report, 'leak'), [
      "train/dog/leak.jpg: as 'dog' in train; also val/dog/leaked.jpg (val, 'dog')",
    ])
    assert.deepEqual(found(report, 'duplicates'), [
      "train/cat/again.jpg: as 'cat' in train; also train/cat/same.jpg (train, 'cat')",
    ])
    assert.deepEqual(found(report, 'wrong-extension'), ['train/cat/png.jpg: content: PNG'])
    assert.deepEqual(found(report, 'passed-over'), [
      'train/cat/notes.txt',
      'train/cat/photo: content: JPEG',
      'train/empty/readme.txt',
    ])
    assert.deepEqual(found(report, 'loose'), ['train/loose.jpg'])
    assert.deepEqual(found(report, 'absent-class'), [": 'empty' in val"])
    assert.deepEqual(found(report, 'imbalance'), [": 'owl' has 3 training images, 'cat' has 35"])
    assert.deepEqual(found(report, 'rotated'), ['train/cat/turned.jpg: EXIF orientation 6'])
    assert.deepEqual(found(report, 'cmyk'), ['train/cat/inks.jpg'])
  })

  it('also checks images outside of the class folders', async () => {
    const root = await temporaryFolder()
    await writeFiles(root, { 'good.jpg': await jpeg(1), 'zero.jpg': '' })
    const report = await checkDataset(root)
    assert.deepEqual(
      report.findings.map(({ kind }) => kind),
      ['layout', 'empty-file', 'loose'],
    )
    assert.deepEqual(report.splits, [])
  })

  it('warns about leftovers of other programs, which do not become classes in training', async () => {
    const root = await temporaryFolder()
    await plant(root, ['train', 'val'], ['cat', 'dog'], 2)
    await writeFiles(root, {
      'train/@eaDir/cat.jpg': await jpeg(50),
      '__MACOSX/train/cat/._0.jpg': '',
      'val/.ipynb_checkpoints/1.jpg': await jpeg(51),
      'train/cat/Thumbs.db': '',
      'train/dog/.DS_Store': '',
    })
    const report = await checkDataset(root)
    assert.deepEqual(report.classes, ['cat', 'dog'])
    assert.deepEqual(found(report, 'junk'), [
      '__MACOSX',
      'train/@eaDir',
      'train/cat/Thumbs.db',
      'train/dog/.DS_Store',
      'val/.ipynb_checkpoints',
    ])
    assert.equal(report.ok, true)
  })

  it('warns about batches of one image, similar class names, and more validation images than training images', async () => {
    const root = await temporaryFolder()
    await plant(root, ['val', 'train'], ['Cat', 'cat'], 5)
    await rm(join(root, 'train/cat/4.jpg'))
    const kinds = async (batchSize: number) =>
      (await checkDataset(root, { batchSize })).findings.map(({ kind }) => kind)
    assert.deepEqual(await kinds(32), ['names-alike', 'uneven-splits'])
    assert.deepEqual(await kinds(4), ['names-alike', 'uneven-splits', 'joined-batch'])
    assert.deepEqual(await kinds(1), ['names-alike', 'uneven-splits', 'batch-of-one'])
  })

  it('checks annotation files, whose images may be missing', async () => {
    const root = await temporaryFolder()
    await writeFiles(root, {
      'cls_classes.txt': 'cat\ndog\n',
      'cls_train.txt': '0;a.jpg\n1;b.jpg\n1;gone.jpg\n',
      'a.jpg': await jpeg(1),
      'b.jpg': await jpeg(2),
    })
    const report = await checkDataset(join(root, 'cls_train.txt'))
    assert.deepEqual(
      report.findings.map(({ kind }) => kind),
      ['unreadable'],
    )
    assert.deepEqual(report.splits[0]!.images, 3)
  })

  it('stops when its signal is aborted', async () => {
    const root = await temporaryFolder()
    await plant(root, ['train'], ['cat', 'dog'], 3)
    const controller = new AbortController()
    const run = checkDataset(root, { signal: controller.signal, onProgress: () => controller.abort() })
    await assert.rejects(run, { name: 'AbortError' })
  })

  describe('from the command line', () => {
    const runWith = (env: NodeJS.ProcessEnv, ...args: string[]) =>
      spawnSync(process.execPath, ['--import', 'tsx', 'lib/cli/main.ts', 'doctor', ...args], {
        encoding: 'utf8',
        env: { ...process.env, NO_COLOR: '1', ...env },
      })
    const run = (...args: string[]) => runWith({}, ...args)

    it('prints a table and exits with 0 if training can use the data', async () => {
      const root = await temporaryFolder()
      await plant(root, ['train', 'val'], ['cat', 'dog'], 2)
      const { status, stdout, stderr } = run('--data', root)
      assert.equal(status, 0, stderr)
      assert.equal(
        stdout,
        'class  train  val\ncat        2    2\ndog        2    2\nall        4    4\n\nTraining can use this data set.\n',
      )
    })

    it('needs no LibTorch', async () => {
      const root = await temporaryFolder()
      await plant(root, ['train', 'val'], ['cat', 'dog'], 2)
      const { status, stdout, stderr } = runWith({ VISIONTORCH_LIBTORCH: '/nonexistent' }, '--data', root)
      assert.equal(status, 0, stdout + stderr)
      assert.match(stdout, /Training can use this data set\./)
    })

    it('exits with 1 if training cannot use the data, with each file and a remedy, also as JSON', async () => {
      const root = await temporaryFolder()
      await plant(root, ['train', 'val'], ['cat', 'dog'], 2)
      await writeFiles(root, { 'train/cat/zero.jpg': '' })
      const { status, stdout } = run('--data', root)
      assert.equal(status, 1)
      assert.match(
        stdout,
        /^error {2}empty files: 1\n {2}train\/cat\/zero\.jpg\n {2}copy them again, or remove/m,
      )
      const json = run('--data', root, '--json')
      assert.equal(json.status, 1)
      const { ok, findings } = JSON.parse(json.stdout)
      assert.deepEqual(
        { ok, kinds: findings.map((finding: { kind: string }) => finding.kind) },
        { ok: false, kinds: ['empty-file'] },
      )
    })

    it('exits with 1 for a folder that does not exist', () => {
      const { status, stderr } = run('--data', '/nonexistent')
      assert.equal(status, 1)
      assert.match(stderr, /no such folder\. Expected DIR\/train/)
    })
  })

  it('says what is wrong with awkward files of real programs', async function () {
    if (!hasShared) skip(this, NO_SHARED)
    const root = await temporaryFolder()
    await plant(root, ['train'], ['plain'], 1)
    await cp(shared('data/tricky'), join(root, 'train', 'tricky'), { recursive: true })
    const report = await checkDataset(root)
    const files = (kind: string) =>
      found(report, kind).map(text => text.split(':')[0]!.replace('train/tricky/', ''))
    assert.deepEqual(files('empty-file'), ['synthetic-zero-byte.jpg'])
    assert.deepEqual(files('not-an-image'), ['synthetic-text.jpg'])
    assert.deepEqual(files('bomb'), ['bomb-17000x17000-libvips.avif', 'bomb-65536x65536-sharp.png'])
    assert.deepEqual(files('wrong-extension'), ['synthetic-png-named.jpg'])
    assert.deepEqual(files('cmyk').length, 3)
    assert.equal(files('rotated').length, 9)
    const expected = JSON.parse(await readFile(shared('data/expected-pillow-9.4.0.json'), 'utf8'))
    for (const name of [...files('truncated'), ...files('damaged')]) {
      assert.match(expected[`tricky/${name}`].error, /./, `Pillow reads ${name}`)
    }
    assert.equal(files('truncated').length, 12)
  })
})
