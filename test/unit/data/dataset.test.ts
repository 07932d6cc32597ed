import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { basename, join, relative } from 'node:path'
import { fromAnnotations, writeAnnotations } from '../../../lib/data/annotations.js'
import type { Dataset } from '../../../lib/data/dataset.js'
import { ImageFolder } from '../../../lib/data/image-folder.js'
import { openDataset } from '../../../lib/data/open.js'
import { byCodePoint, sortInSlices } from '../../../lib/data/sort.js'
import { link, removeTemporaryFolders, temporaryFolder, writeFiles } from '../../support/folder.js'

/** Returns the files of a split, relative to the root, with the names of their classes. */
const shown = (data: Dataset, split: string): string[] =>
  data.split(split).map(({ path, label }) => `${data.classes[label]}: ${relative(data.root, path)}`)

async function folderOf(files: Parameters<typeof writeFiles>[1]): Promise<string> {
  const root = await temporaryFolder()
  await writeFiles(root, files)
  return root
}

const many = (folder: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${folder}/${index}.jpg`)

describe('an image folder', () => {
  afterEach(removeTemporaryFolders)

  it('has the sorted folders of train as its classes and maps those of val by name', async () => {
    const root = await folderOf(['train/dog/1.jpg', 'train/cat/1.jpg', 'train/cat/2.PNG', 'val/dog/3.jpg'])
    const data = await ImageFolder.open(root)
    assert.deepEqual(data.classes, ['cat', 'dog'])
    assert.deepEqual(shown(data, 'train'), [
      'cat: train/cat/1.jpg',
      'cat: train/cat/2.PNG',
      'dog: train/dog/1.jpg',
    ])
    assert.deepEqual(shown(data, 'val'), ['dog: val/dog/3.jpg'])
    assert.deepEqual(data.warnings, [
      `no images of the class 'cat' in ${root}/val: it is left out of the metrics for 'val'.`,
    ])
  })

  for (const name of ['val', 'valid', 'Validation', 'test', 'Testing']) {
    it(`validates on the folder ${name}`, async () => {
      const root = await folderOf([
        'Training/a/1.jpg',
        'Training/b/1.jpg',
        `${name}/a/2.jpg`,
        `${name}/b/2.jpg`,
      ])
      assert.deepEqual(shown(await ImageFolder.open(root), 'val'), [
        `a: ${name}/a/2.jpg`,
        `b: ${name}/b/2.jpg`,
      ])
    })
  }

  it('keeps val and test apart if both exist', async () => {
    const root = await folderOf(
      ['train', 'val', 'test'].flatMap(split => [`${split}/a/1.jpg`, `${split}/b/1.jpg`]),
    )
    const data = await ImageFolder.open(root)
    assert.deepEqual([...data.splits.keys()], ['train', 'val', 'test'])
    assert.deepEqual(shown(data, 'test'), ['a: test/a/1.jpg', 'b: test/b/1.jpg'])
    assert.throws(() => data.split('holdout'), {
      code: 'ERR_DATASET',
      message: `${root}: expected one of the splits train, val, test, got 'holdout'`,
    })
  })

  it("finds torchvision's formats, and the others that can be decoded", async () => {
    const names = 'jpg jpeg png ppm bmp pgm tif tiff webp jfif avif gif pbm'
      .split(' ')
      .map(end => `train/a/1.${end}`)
    const data = await ImageFolder.open(await folderOf([...names, 'train/b/1.jpg']), { valFraction: 0 })
    assert.equal(data.split('train').length, names.length + 1)
    assert.deepEqual(data.warnings, [])
  })

  it("has names that are not UTF-8, in Python's order", async () => {
    const root = await folderOf([
      'train/a/z\udce9.jpg',
      'train/a/zz.jpg',
      'train/Gro\udcdf/\udce9/1.jpg',
      'train/Grö/1.jpg',
    ])
    const data = await ImageFolder.open(root, { valFraction: 0 })
    assert.deepEqual(data.classes, ['Grö', 'Gro\udcdf', 'a'].sort(byCodePoint))
    assert.deepEqual(shown(data, 'train').slice(-2), ['a: train/a/zz.jpg', 'a: train/a/z\udce9.jpg'])
    await writeAnnotations(data, root)
    const read = await openDataset(join(root, 'cls_train.txt'), { valFraction: 0 })
    assert.deepEqual(read.classes, data.classes)
    assert.deepEqual(read.split('train'), data.split('train'))
  })

  it('ignores hidden files, skips files that are not images, and says so', async () => {
    const root = await folderOf([
      ...many('train/a', 2),
      ...many('train/b', 2),
      'train/a/.hidden.jpg',
      'train/.cache/1.jpg',
      'train/a/notes.txt',
      'train/b/x.psd',
      'train/b/y.PSD',
      'train/loose.jpg',
      ...many('val/a', 1),
      ...many('val/b', 1),
    ])
    const data = await ImageFolder.open(root)
    assert.deepEqual(data.classes, ['a', 'b'])
    assert.equal(data.split('train').length, 4)
    assert.deepEqual(data.warnings, [
      'Skipped images outside of the class folders: 1.',
      'Skipped files that are not images: 2 (.psd), 1 (.txt).',
    ])
  })

  it('follows symbolic links, but not in circles, and keeps dangling ones as unreadable images', async () => {
    const root = await folderOf([
      'train/a/1.jpg',
      'train/b/1.jpg',
      'elsewhere/2.jpg',
      'val/a/1.jpg',
      'val/b/1.jpg',
    ])
    await link(root, 'train/c', 'elsewhere')
    await link(root, 'train/a/up', 'train')
    await link(root, 'train/b/gone.jpg', 'nowhere.jpg')
    const data = await ImageFolder.open(root)
    assert.deepEqual(data.classes, ['a', 'b', 'c'])
    assert.deepEqual(
      shown(data, 'train').filter(name => !name.includes('/up/')),
      ['a: train/a/1.jpg', 'b: train/b/1.jpg', 'b: train/b/gone.jpg', 'c: train/c/2.jpg'],
    )
  })

  it('opens with given classes, in another order and some without images', async () => {
    const root = await folderOf(['val/cat/1.jpg', 'val/dog/1.jpg'])
    const data = await ImageFolder.open(root, { classes: ['dog', 'bird', 'cat'] })
    assert.deepEqual(shown(data, 'val'), ['dog: val/dog/1.jpg', 'cat: val/cat/1.jpg'])
    await assert.rejects(
      ImageFolder.open(root, { classes: ['dog', 'Cat'] }),
      /the given classes lack the class 'cat'/,
    )
  })

  it('stops when its signal is aborted', async () => {
    const root = await folderOf([...many('a', 2), ...many('b', 2)])
    await assert.rejects(ImageFolder.open(root, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })

  it('reports how many files it has found', async () => {
    const root = await folderOf([...many('a', 2), ...many('b', 3)])
    const seen: number[] = []
    await ImageFolder.open(root, { onProgress: ({ files }) => seen.push(files) })
    assert.deepEqual(seen, [2, 5])
  })

  describe('with an unusual layout', () => {
    it('may have a class called train, val or test', async () => {
      const root = await folderOf([...many('bus', 2), ...many('test', 2), ...many('train', 2)])
      const data = await ImageFolder.open(root, { valFraction: 0 })
      assert.deepEqual(data.classes, ['bus', 'test', 'train'])
      assert.deepEqual(data.warnings, [
        "Interpreted 'test', 'train' as classes, not splits, because they hold images directly, as 'bus' does.",
      ])
      const inSplits = await folderOf(['train/train/1.jpg', 'train/bus/1.jpg', 'val/train/2.jpg'])
      assert.deepEqual((await ImageFolder.open(inSplits)).classes, ['bus', 'train'])
    })

    it("is refused if 'train' may be a split or a class", async () => {
      const root = await folderOf([...many('bus', 2), 'train/1.jpg', 'train/a/1.jpg', 'train/b/1.jpg'])
      await assert.rejects(ImageFolder.open(root), {
        code: 'ERR_DATASET',
        message:
          /cannot tell whether 'train' is a split or a class: .*'bus' in the same folder.*or rename it/,
      })
    })

    it('may have test images without classes, as in competitions', async () => {
      const root = await folderOf([...many('train/a', 20), ...many('train/b', 20), ...many('test', 9)])
      const data = await ImageFolder.open(root)
      assert.deepEqual([...data.splits.keys()], ['train', 'val'])
      assert.equal(
        data.warnings[0],
        `${root}/test is not used, because it has no class folders, only 9 images.`,
      )
    })

    it('may contain leftovers of other programs, which are skipped and do not become classes', async () => {
      const root = await folderOf([
        ...many('cat', 3),
        ...many('dog', 3),
        ...many('@eaDir', 1),
        ...many('__MACOSX/cat', 1),
        ...many('.ipynb_checkpoints', 1),
        ...many('cat/@eaDir', 2),
        'cat/Thumbs.db',
        'dog/._1.jpg',
        '.DS_Store',
      ])
      const data = await ImageFolder.open(root, { valFraction: 0 })
      assert.deepEqual(data.classes, ['cat', 'dog'])
      assert.equal(data.split('train').length, 6)
      assert.deepEqual(data.warnings, [
        'Skipped files that other programs left: 2 (@eaDir), 1 (.DS_Store), 1 (.ipynb_checkpoints), 1 (__MACOSX), 1 (Thumbs.db), 1 (._1.jpg).',
      ])
    })

    it('may have classes whose names differ only in case', async () => {
      const data = await ImageFolder.open(await folderOf([...many('Cat', 2), ...many('cat', 2)]))
      assert.deepEqual(data.classes, ['Cat', 'cat'])
      assert.match(data.warnings[0]!, /differ only in case .*: 'Cat', 'cat'/)
    })

    it('suggests another folder if that is probably meant', async () => {
      const root = await folderOf(['photos/train/a/1.jpg', 'photos/train/b/1.jpg', 'photos/val/a/1.jpg'])
      const fails = (folder: string, message: RegExp) =>
        assert.rejects(ImageFolder.open(join(root, folder)), { code: 'ERR_DATASET', message })
      await fails('', /one folder \('photos'\).* Did you mean .*\/photos, which holds 'train', 'val'\?/)
      await fails(
        'photos/train/a',
        /its one image is in no class folder.* give the one above: .*photos\/train\./,
      )
      const { warnings } = await ImageFolder.open(join(root, 'photos/train'))
      assert.match(warnings[0]!, /photos also holds 'val', which is not used\. To use it, give .*photos/)
    })

    it('says when names differ only in the encoding of letters', async () => {
      const root = await folderOf(['train/caf\u00e9/1.jpg', 'train/bar/1.jpg', 'val/cafe\u0301/1.jpg'])
      await assert.rejects(
        ImageFolder.open(root),
        /has the same characters in other code points \(Unicode NFC and NFD\)/,
      )
    })

    it('may have thousands of classes; messages name only a few', async () => {
      const root = await folderOf(Array.from({ length: 3000 }, (_, i) => `train/${i}/1.jpg`))
      await writeFiles(root, ['val/7/1.jpg'])
      const { classes, warnings } = await ImageFolder.open(root)
      assert.equal(classes.length, 3000)
      assert.match(warnings[0]!, /no images of the classes '0', '1', '10', '100', '1000' and 2,994 more in /)
    })

    it('refuses a class with a line break in its name', async () => {
      const root = await folderOf(['train/a\nb/1.jpg', 'train/c/1.jpg'])
      await assert.rejects(ImageFolder.open(root), {
        code: 'ERR_DATASET',
        message: /the name of the folder 'a\\u\{a\}b' in .*train contains a line break\. Rename it/,
      })
    })
  })

  describe('without a validation split', () => {
    it('holds out a tenth of every class, at least one image and never the last', async () => {
      const root = await folderOf([...many('a', 30), ...many('b', 4), ...many('c', 1)])
      const data = await ImageFolder.open(root)
      const count = (split: string) => [0, 1, 2].map(c => data.split(split).filter(s => s.label === c).length)
      assert.deepEqual(count('train'), [27, 3, 1])
      assert.deepEqual(count('val'), [3, 1, 0])
      assert.deepEqual(data.warnings, [
        'There are only training images, so 4 of 35 are held out for validation (seed 0).',
      ])
    })

    it('chooses the same images wherever the folder is, and others for another seed', async () => {
      const files = [...many('train/a', 40), ...many('train/b', 40)]
      const [one, two] = [await folderOf(files), await folderOf(files)]
      const options = { valFraction: 0.25 }
      const first = shown(await ImageFolder.open(one, options), 'val')
      assert.equal(first.length, 20)
      assert.deepEqual(shown(await ImageFolder.open(two, options), 'val'), first)
      assert.notDeepEqual(shown(await ImageFolder.open(one, { ...options, seed: 1 }), 'val'), first)
    })

    it('keeps the held-out images out of training when the folder grows', async () => {
      const root = await folderOf([...many('a', 40), ...many('b', 40)])
      const before = new Set(shown(await ImageFolder.open(root), 'val'))
      await writeFiles(root, ['a/new.jpg'])
      const after = shown(await ImageFolder.open(root), 'val')
      assert.ok(after.filter(name => !before.has(name)).length <= 1)
    })
  })

  describe('refuses, with a remedy,', () => {
    const cases: [string, string[], RegExp][] = [
      ['a folder without classes', ['readme.txt'], /no class folders in .*Expected DIR\/train\/<class>/],
      ['images outside of class folders', ['1.jpg', '2.jpg'], /its 2 images are in no class folder/],
      ['one class', ['train/only/1.jpg'], /at least two classes, got one folder \('only'\)/],
      [
        'a class without images',
        ['train/a/1.jpg', 'train/b/x.txt'],
        /no images of the class 'b'.*Add images/,
      ],
      [
        'classes without any image',
        ['a/x.txt', 'b/y.txt'],
        /no images below .*Expected files ending in \.jpg/,
      ],
      [
        'a class in val that train lacks',
        ['train/cat/1.jpg', 'train/dog/1.jpg', 'val/Cat/1.jpg'],
        /'train' lacks the class 'Cat' of .*Did you mean 'cat'\?/,
      ],
      [
        'val without train',
        ['val/a/1.jpg', 'val/b/1.jpg'],
        /has a folder for the split 'val' but no folder 'train'/,
      ],
      [
        'two folders for one split',
        ['train/a/1.jpg', 'train/b/1.jpg', 'val/a/1.jpg', 'valid/a/1.jpg'],
        /two folders for the split 'val': 'val' and 'valid'/,
      ],
    ]
    for (const [name, files, message] of cases) {
      it(name, async () => {
        await assert.rejects(ImageFolder.open(await folderOf(files)), { code: 'ERR_DATASET', message })
      })
    }

    it('several faults at once, and suggests the doctor', async () => {
      const root = await folderOf(['train/a/1.jpg', 'train/b/x.txt', 'val/c/1.jpg'])
      await assert.rejects(
        ImageFolder.open(root),
        /There are more problems: visiontorch doctor --data lists them$/,
      )
    })

    it('a folder that does not exist, or is a file', async () => {
      const root = await folderOf(['file'])
      await assert.rejects(ImageFolder.open(join(root, 'nowhere')), {
        code: 'ERR_DATASET',
        message: /no such folder/,
      })
      await assert.rejects(ImageFolder.open(join(root, 'file')), {
        code: 'ERR_DATASET',
        message: /is not a folder/,
      })
    })
  })
})

describe('annotation files', () => {
  afterEach(removeTemporaryFolders)

  it('may have spaces, semicolons and any script in paths, relative to the file', async () => {
    const root = await folderOf({
      'cls_classes.txt': '\ufeffcat\r\ndog\r\n',
      'cls_train.txt': '\ufeff0;images/a b.jpg\r\n\r\n1;x;y;z.jpg\n 1 ;/abs/狗\u2028.jpg\n0; lead',
    })
    const data = await fromAnnotations(join(root, 'cls_train.txt'), join(root, 'cls_classes.txt'), {
      valFraction: 0,
    })
    assert.deepEqual(data.classes, ['cat', 'dog'])
    assert.deepEqual(data.split('train'), [
      { path: join(root, 'images/a b.jpg'), label: 0 },
      { path: join(root, 'x;y;z.jpg'), label: 1 },
      { path: '/abs/狗\u2028.jpg', label: 1 },
      { path: join(root, ' lead'), label: 0 },
    ])
  })

  it('are opened by the path of the first, together with their neighbours', async () => {
    const root = await folderOf({
      'cls_classes.txt': 'a\nb\n',
      'cls_train.txt': '0;1.jpg\n1;2.jpg\n',
      'cls_test.txt': '1;3.jpg\n',
    })
    const data = await openDataset(join(root, 'cls_train.txt'))
    assert.deepEqual([...data.splits.keys()], ['train', 'test'])
    assert.deepEqual(
      data.split('val').map(({ path }) => basename(path)),
      ['3.jpg'],
    )
    assert.deepEqual([...(await openDataset(join(root, 'cls_test.txt'))).splits.keys()], ['test'])
  })

  it('are written from a folder of images, and read back the same', async () => {
    const root = await folderOf(['train/a b/1.jpg', 'train/c;d/ü 2.jpg', 'val/a b/3.jpg', 'val/c;d/;4.jpg'])
    const data = await ImageFolder.open(root)
    for (const relative of [false, true]) {
      const written = await writeAnnotations(data, root, { relative })
      assert.deepEqual(
        [...written].map(([path, lines]) => [basename(path), lines]),
        [
          ['cls_classes.txt', 2],
          ['cls_train.txt', 2],
          ['cls_test.txt', 2],
        ],
      )
      const start = relative ? '' : `${root}/`
      assert.equal(
        await readFile(join(root, 'cls_train.txt'), 'utf8'),
        `0;${start}train/a b/1.jpg\n1;${start}train/c;d/ü 2.jpg\n`,
      )
      const read = await openDataset(join(root, 'cls_train.txt'))
      assert.deepEqual(read.classes, data.classes)
      assert.deepEqual(read.split('train'), data.split('train'))
      assert.deepEqual(read.split('val'), data.split('val'))
    }
  })

  it('are found in the folder of classification-pytorch, with its list of classes', async () => {
    const root = await folderOf({
      'model_data/cls_classes.txt': 'cat\ndog\n',
      'cls_train.txt':
        '0;/elsewhere/seed/datasets/train/cat/1.jpg\n1;/elsewhere/seed/datasets/train/dog/2.jpg\n',
      'cls_test.txt': '1;D:\\seed\\datasets\\test\\dog\\3.jpg\n',
      'datasets/train/cat/1.jpg': '',
      'datasets/train/dog/2.jpg': '',
      'datasets/test/dog/3.jpg': '',
      'img/street.jpg': '',
      'logs/README.md': '',
    })
    const data = await openDataset(root)
    assert.deepEqual(data.classes, ['cat', 'dog'])
    assert.deepEqual(shown(data, 'train'), ['cat: datasets/train/cat/1.jpg', 'dog: datasets/train/dog/2.jpg'])
    assert.deepEqual(shown(data, 'val'), ['dog: datasets/test/dog/3.jpg'])
    assert.equal(data.source, join(root, 'cls_train.txt'))
    assert.equal(
      data.warnings[0],
      `The images in ${root}/cls_train.txt have moved: those below /elsewhere/seed are read from ${root} instead.`,
    )
  })

  it('are ignored in favour of the class folders that they were written from', async () => {
    const root = await folderOf([...many('cat', 3), ...many('dog', 3)])
    await writeAnnotations(await ImageFolder.open(root), root)
    await writeFiles(root, ['cat/new.jpg'])
    assert.equal((await openDataset(root, { valFraction: 0 })).split('train').length, 7)
  })

  it('take their classes from a named list in preference to the one next to them', async () => {
    const root = await folderOf({ 'cls_train.txt': '0;1.jpg\n1;2.jpg\n', 'names.txt': 'a\nb\n' })
    const open = (options: object) => openDataset(join(root, 'cls_train.txt'), options)
    await assert.rejects(open({}), /cls_classes\.txt in the same folder, or in model_data\. .*--classes FILE/)
    assert.deepEqual((await open({ classes: join(root, 'names.txt') })).classes, ['a', 'b'])
    assert.deepEqual((await open({ modelClasses: ['m', 'n'] })).classes, ['m', 'n'])
    await writeFiles(root, { 'cls_classes.txt': 'c\nd\n' })
    assert.deepEqual((await open({ modelClasses: ['m', 'n'] })).classes, ['c', 'd'])
    assert.deepEqual((await open({ classes: ['e', 'f'] })).classes, ['e', 'f'])
  })

  it('may be UTF-16, and may have any line endings', async () => {
    const root = await folderOf({
      'cls_train.txt': Buffer.from('\ufeff0;é.jpg\r\n1;b.jpg\r\n', 'utf16le'),
      'mac.txt': '0;a.jpg\r1;b.jpg\r',
    })
    const open = (file: string) => fromAnnotations(join(root, file), ['a', 'b'], { valFraction: 0 })
    assert.deepEqual(shown(await open('cls_train.txt'), 'train'), ['a: é.jpg', 'b: b.jpg'])
    assert.deepEqual(shown(await open('mac.txt'), 'train'), ['a: a.jpg', 'b: b.jpg'])
  })

  it('are refused with the wrong line', async () => {
    const root = await folderOf({
      'words.txt': '0;1.jpg\ncat;2.jpg\n',
      'range.txt': '0;1.jpg\n2;2.jpg\n',
      'pathless.txt': '0;  \n',
      'empty.txt': '\n',
    })
    const open = (file: string) => fromAnnotations(join(root, file), ['a', 'b'])
    const fails = (file: string, message: RegExp) =>
      assert.rejects(open(file), { code: 'ERR_DATASET', message })
    await fails('words.txt', /words\.txt:2: Expected lines '<class id>;<path>', got 'cat;2\.jpg'/)
    await fails('range.txt', /range\.txt:2: expected a class id from 0 to 1 \(there are 2 classes\), got 2/)
    await fails('pathless.txt', /pathless\.txt:1: Expected lines/)
    await fails('empty.txt', /no images/)
    await fails('nowhere.txt', /cannot be read \(ENOENT\)/)
    await assert.rejects(
      openDataset(join(root, 'words.txt')),
      /expected the class names in cls_classes\.txt in the same folder/,
    )
    await assert.rejects(
      fromAnnotations('x', ['a', 'a']),
      /expected different class names, but numbers 1 and 2 are both 'a'/,
    )
  })
})

describe('sorting in slices', () => {
  it("is the built-in stable sort, in Python's order of strings", async () => {
    const values = Array.from({ length: 30_000 }, (_, index) => ({ key: (index * 7919) % 1000, index }))
    const compare = (a: { key: number }, b: { key: number }) => a.key - b.key
    assert.deepEqual(await sortInSlices(values, compare), values.toSorted(compare))
    assert.deepEqual(['😀', 'ｚ', 'é', 'z', 'za', 'Z'].sort(byCodePoint), ['Z', 'z', 'za', 'é', 'ｚ', '😀'])
  })
})
