import assert from 'node:assert/strict'
import { readFile, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { ImageStore } from '../../../lib/data/image-store.js'
import { openDataset } from '../../../lib/data/open.js'
import { fromParquet } from '../../../lib/data/parquet.js'
import { fromSamples, type LabelledSample } from '../../../lib/data/samples.js'
import { fromCsv, fromJsonLines, type TableOptions } from '../../../lib/data/table.js'
import { fromWebDataset } from '../../../lib/data/web-dataset.js'
import { removeTemporaryFolders, temporaryFolder, writeFiles } from '../../support/folder.js'
import { writeTar } from '../../support/sources.js'

const ERR_DATASET = (message: RegExp) => ({ code: 'ERR_DATASET', message })

describe('a table of images', () => {
  let root: string
  before(async () => {
    root = await temporaryFolder()
  })
  after(removeTemporaryFolders)

  async function open(content: string | Uint8Array, options: TableOptions = {}, name = 'labels.csv') {
    const path = join(root, name)
    await writeFile(path, content)
    return (name.endsWith('csv') ? fromCsv : fromJsonLines)(path, { valFraction: 0, ...options })
  }
  const refused = (content: string | Uint8Array, message: RegExp, options?: TableOptions, name?: string) =>
    assert.rejects(open(content, options, name), ERR_DATASET(message), String(content).slice(0, 80))

  it('may have quoted fields, line breaks in them, a byte order mark, semicolons and empty lines', async () => {
    const { classes, splits } = await open(
      '\ufeff"path";label\r\n"a, b.png";ant\r\n\r\n"c ""d"".png";bee\r\n',
    )
    assert.deepEqual(classes, ['ant', 'bee'])
    assert.deepEqual(splits.get('train'), [
      { path: join(root, 'a, b.png'), label: 0 },
      { path: join(root, 'c "d".png'), label: 1 },
    ])
  })

  it('may have paths outside of its folder, absolute or not, and file: URLs', async () => {
    const data = await open('path,label\n../x.png,a\n/y.png,b\nfile:///z%20z.png,b\n')
    const paths = data.split('train').map(({ path }) => path)
    assert.deepEqual(paths, [join(root, '../x.png'), '/y.png', '/z z.png'])
  })

  it('sorts numeric labels as numbers, and treats them as indices of given classes', async () => {
    const content = 'path,label\n1.png,10\n2.png,9\n3.png,0\n'
    assert.deepEqual((await open(content)).classes, ['0', '9', '10'])
    const names = Array.from({ length: 11 }, (_, i) => `class ${i}`)
    const given = await open(content, { classes: names })
    assert.deepEqual(
      given.split('train').map(({ label }) => label),
      [10, 9, 0],
    )
    await refused(content, /labels\.csv:2: the label '10' is not one of the 2 classes \(a, b\)/, {
      classes: ['a', 'b'],
    })
  })

  it('names a missing column, and the existing ones', async () => {
    await refused(
      'a,b\n1.png,x\n',
      /labels\.csv:2: expected a column for the image \(image, path, .*got a, b\. Name the column/,
    )
    await refused('path,b\n1.png,x\n', /expected a column for the label/)
    await refused('path,label\n1.png,x\n', /expected the column 'photo', got path, label/, { image: 'photo' })
    await refused('path,label\n1.png,x\n', /expected the column 'fold'/, { split: 'fold' })
    await refused('1.png,x\n2.png,y\n', /expected a column for the image/)
  })

  it('names the line of an invalid label, path or split', async () => {
    const head = 'path,label,split\n1.png,a,train\n2.png,b,train\n'
    await refused(`${head}3.png,,train\n`, /labels\.csv:4: expected a label.* got an empty label/)
    await refused(`${head},a,train\n`, /labels\.csv:4: expected the path of an image, got an empty one/)
    await refused(`${head}3.png,c,val\n`, /labels\.csv:4: the label 'c' is not one of the 2 classes \(a, b\)/)
    await refused(
      `${head}3.png,a,fold3\n`,
      /labels\.csv:4: expected one of the splits train, val, test, got 'fold3'/,
    )
    await refused(`${head}3.png,a\n`, /is not a CSV file: Invalid Record Length.* line 4/)
    await refused(`${head}3.png\0,a,train\n`, /labels\.csv:4: is not UTF-8 text/)
    await refused(
      Buffer.concat([Buffer.from(head), Buffer.from('3\xff.png,a,train\n', 'latin1')]),
      /not UTF-8/,
    )
    await refused('path,label\n1.png,a\n2.png,a\n', /expected at least two class names, got 1/)
    await refused('path,label\n', /no images/)
    await refused('', /no images/)
  })

  it('refuses URLs, with advice', async () => {
    for (const url of ['http://example.org/a.jpg', 'https://example.org/a.jpg', 's3://bucket/a.jpg'])
      await refused(
        `path,label\n${url},a\n`,
        /labels\.csv:2: expected the path of an image, got '.*download.*fromSamples/,
      )
  })

  it('shows foreign text safely', async () => {
    await refused('path,label\n1.png,a\n2.png,b\n\u001b]0;x.png,\u202ea,c\n', /Invalid Record Length/)
    await refused('\u001b[31mx,b\n1.png,x\n', /got \\u\{1b\}\[31mx, b/)
  })

  it('refuses a quote that never ends, and an endless line, in bounded memory', async () => {
    const endless = Buffer.alloc(40e6, 'x')
    const before = process.memoryUsage().rss
    await refused(
      Buffer.concat([Buffer.from('path,label\n"'), endless]),
      /Max Record Size|more than 1,048,576/,
    )
    await refused(endless, /more than 1,048,576 characters/)
    await refused(endless, /more than 1,048,576 characters/, {}, 'labels.jsonl')
    assert.ok(process.memoryUsage().rss - before < 300e6)
  })

  it('names the line of a JSON Lines file that is not an object or lacks a key', async () => {
    const jsonl = (content: string, message: RegExp) => refused(content, message, {}, 'labels.jsonl')
    const line = '{"image":"1.png","label":"a"}\n'
    await jsonl(`${line}{"image":\n`, /labels\.jsonl:2: expected a JSON object.*got '\{"image":'/)
    await jsonl(`${line}[1]\n`, /labels\.jsonl:2: expected a JSON object/)
    await jsonl(`${line}{"image":"2.png"}\n`, /labels\.jsonl:2: expected a column for the label/)
    await jsonl(`${line}{"image":5,"label":"a"}\n`, /labels\.jsonl:2: expected the path of an image, got 5/)
    await jsonl(`${line}{"image":"2.png","label":{}}\n`, /labels\.jsonl:2: expected a label/)
    await jsonl(`${line}{"image":"2.png","label":-1}\n`, /expected a label.* got -1/)
    await jsonl(`${line}{"image":"2.png","label":1.5}\n`, /expected a label.* got 1\.5/)
    await jsonl('{"__proto__":{"image":"1.png"},"label":"a"}\n', /expected a column for the image/)
    const { classes } = await open(`${line}{"label":1,"more":null,"path":"2.png"}\n`, {}, 'labels.jsonl')
    assert.deepEqual(classes, ['1', 'a'])
  })

  it('says that a file does not exist, and refuses wrong options', async () => {
    await assert.rejects(fromCsv(join(root, 'none.csv')), ERR_DATASET(/none\.csv: cannot be read \(ENOENT\)/))
    await assert.rejects(fromCsv(root), ERR_DATASET(/expected a regular file, got a directory/))
    const wrong = { code: 'ERR_INVALID_ARGUMENT' }
    await assert.rejects(fromCsv(5 as never), wrong)
    await assert.rejects(fromCsv({}), wrong)
    await assert.rejects(fromCsv('a.csv', { image: 5 } as never), wrong)
    await assert.rejects(fromCsv('a.csv', { labels: 'x' } as never), {
      ...wrong,
      message: /Did you mean 'label'/,
    })
  })
})

describe('tar files of samples', () => {
  let root: string
  before(async () => {
    root = await temporaryFolder()
  })
  after(removeTemporaryFolders)

  async function open(entries: readonly (readonly [string, string | Buffer])[], name = 'a.tar') {
    const path = join(root, name)
    await writeTar(path, entries)
    return fromWebDataset(path, { valFraction: 0 })
  }
  const pair = [
    ['1.jpg', 'x'],
    ['1.cls', 'ant'],
    ['2.jpg', 'y'],
    ['2.cls', '\nbee\n'],
  ] as const

  it('have labels in .cls and .json files, in any order within a sample', async () => {
    const { classes, splits } = await open([
      ['a/1.cls', 'ant'],
      ['a/1.jpg', 'x'],
      ['a/1.txt', 'a caption'],
      ['a/._2.jpg', 'junk'],
      ['b/1.JPG', 'y'],
      ['b/1.json', '{"label":"bee"}'],
      ['README', 'text'],
    ])
    assert.deepEqual(classes, ['ant', 'bee'])
    const samples = splits.get('train')!
    assert.deepEqual(
      samples.map(({ path, label }) => [path, label]),
      [
        [join(root, 'a.tar/a/1.jpg'), 0],
        [join(root, 'a.tar/b/1.JPG'), 1],
      ],
    )
    assert.equal(String(await samples[1]!.read!()), 'y')
  })

  it('never make the reader open or write a path that a name in them points to', async () => {
    const data = await open([
      ['../../etc/passwd.jpg', 'x'],
      ['../../etc/passwd.cls', 'a'],
      ['/abs.jpg', 'y'],
      ['/abs.cls', 'b'],
    ])
    const samples = data.split('train')
    assert.deepEqual(await Promise.all(samples.map(async ({ read }) => String(await read!()))), ['x', 'y'])
  })

  it('are refused if a sample has an image without a label, two images, or an invalid label', async () => {
    const refused = (entries: Parameters<typeof open>[0], message: RegExp) =>
      assert.rejects(open(entries), ERR_DATASET(message))
    await refused(
      [
        ['train/ant/1.jpg', 'x'],
        ['train/ant/2.jpg', 'x'],
      ],
      /a\.tar: the image train\/ant\/1\.jpg has no label: expected 1\.cls or 1\.json/,
    )
    await refused(
      [
        ['1.jpg', 'x'],
        ['1.png', 'x'],
        ['1.cls', 'a'],
      ],
      /the sample 1 has two images/,
    )
    await refused(
      [
        ['1.jpg', 'x'],
        ['1.cls', ' '],
      ],
      /a\.tar: 1\.cls: expected a label/,
    )
    await refused(
      [
        ['1.jpg', 'x'],
        ['1.json', '{'],
      ],
      /a\.tar: 1\.json: expected JSON/,
    )
    await refused(
      [
        ['1.jpg', 'x'],
        ['1.json', '{"x":1}'],
      ],
      /a\.tar: 1\.json: expected a column for the label/,
    )
    await refused(
      [
        ['1.jpg', 'x'],
        ['1.cls', 'a'.repeat(2 ** 20 + 1)],
      ],
      /expected a label in 1\.cls, but it has 1048577 bytes/,
    )
    await refused([['1.cls', 'x']], /no images/)
    await refused([], /no images/)
  })

  it('are refused if they are truncated anywhere, or are something else', async () => {
    for (const name of ['a.tar', 'a.tar.gz']) {
      await open(pair, name)
      const whole = await readFile(join(root, name))
      const ends = name === 'a.tar' ? [1, 511, 513, 700, 1024, 1600, 2100] : [5, 30, whole.length - 9]
      for (const end of ends) {
        await writeFile(join(root, name), whole.subarray(0, end))
        await assert.rejects(
          fromWebDataset(join(root, name)),
          { code: 'ERR_DATASET' },
          `${name} of ${end} bytes`,
        )
      }
    }
    await writeFile(join(root, 'x.tar'), Buffer.alloc(5000, 'not a tar file '))
    await assert.rejects(
      fromWebDataset(join(root, 'x.tar')),
      ERR_DATASET(/x\.tar: is not a complete tar file/),
    )
    await writeFile(join(root, 'x.tgz'), 'not gzip')
    await assert.rejects(
      fromWebDataset(join(root, 'x.tgz')),
      ERR_DATASET(/x\.tgz: is not a complete tar file \(incorrect header/),
    )
  })

  it('with a header that claims a huge size or name take no extra memory', async () => {
    const path = join(root, 'huge.tar')
    await open(pair)
    const tar = await readFile(join(root, 'a.tar'))
    const claim = (field: string, kind = '0') => {
      const changed = Buffer.from(tar)
      changed.write(field, 124, 'latin1')
      changed.write(kind, 156, 'latin1')
      changed.fill(' ', 148, 156)
      const sum = changed.subarray(0, 512).reduce((a, b) => a + b, 0)
      changed.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
      return changed
    }
    const before = process.memoryUsage().rss
    for (const [field, kind] of [
      ['77777777777\0', '0'],
      ['77777777777\0', 'L'], // a GNU long name
      ['77777777777\0', 'x'], // a pax header
      ['\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff', '0'],
      ['\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff', '0'],
    ] as const) {
      await writeFile(path, claim(field, kind))
      await assert.rejects(fromWebDataset(path), { code: 'ERR_DATASET' }, JSON.stringify([field, kind]))
      await writeFile(`${path}.gz`, gzipSync(claim(field, kind)))
      await assert.rejects(
        fromWebDataset(`${path}.gz`),
        { code: 'ERR_DATASET' },
        JSON.stringify([field, kind]),
      )
    }
    assert.ok(process.memoryUsage().rss - before < 200e6)
  })

  it('have splits by their names, and can be named by ranges', async () => {
    for (const split of ['train', 'validation'])
      for (const i of [0, 1]) await writeTar(join(root, `s/birds-${split}-0${i}.tar`), pair)
    const data = await openDataset(join(root, 's'))
    assert.deepEqual(
      [...data.splits].map(([name, { length }]) => [name, length]),
      [
        ['train', 4],
        ['val', 4],
      ],
    )
    const range = await fromWebDataset(
      { train: join(root, 's/birds-train-{00..01}.tar') },
      { valFraction: 0 },
    )
    assert.equal(range.split('train').length, 4)
    await writeTar(join(root, 's/more.tar'), pair)
    await assert.rejects(
      openDataset(join(root, 's')),
      ERR_DATASET(/more\.tar: expected train, val or test in its name/),
    )
    const wrong = { code: 'ERR_INVALID_ARGUMENT' }
    await assert.rejects(fromWebDataset([]), wrong)
    await assert.rejects(fromWebDataset({}), wrong)
    await assert.rejects(fromWebDataset('a-{5..2}.tar'), wrong)
    await assert.rejects(fromWebDataset('a-{0..99999999}.tar'), wrong)
    await assert.rejects(fromWebDataset('a.tar', { image: 'x' } as never), wrong)
  })
})

describe('Parquet files', () => {
  let root: string
  let path: string
  const bytes = new Uint8Array([1, 2, 3])
  before(async () => {
    root = await temporaryFolder()
    path = join(root, 'a.parquet')
  })
  after(removeTemporaryFolders)

  async function open(columns: Record<string, unknown[]>) {
    const columnData = Object.entries(columns).map(([name, data]) => ({ name, data }))
    await writeFile(path, Buffer.from(parquetWriteBuffer({ columnData })))
    return fromParquet(path, { valFraction: 0 })
  }

  it('may have labels that are texts or numbers', async () => {
    assert.deepEqual((await open({ image: [bytes, bytes], label: ['b', 'a'] })).classes, ['a', 'b'])
    assert.deepEqual((await open({ img: [bytes, bytes], label: [10n, 9n] })).classes, ['9', '10'])
  })

  it('are refused without a column for the image or the label, or with invalid values in these', async () => {
    const refused = (columns: Record<string, unknown[]>, message: RegExp) =>
      assert.rejects(open(columns), ERR_DATASET(message))
    await refused({ a: [bytes], label: ['a'] }, /a\.parquet: expected a column for the image .*got a, label/)
    await refused({ image: [bytes], b: ['a'] }, /expected a column for the label/)
    await refused({ image: [bytes], label: [-1] }, /row 0: expected a label/)
    await refused({ image: [1], label: ['a'] }, /row 0: expected the bytes of an image/)
    await refused({ image: ['https://x.org/a.png'], label: ['a'] }, /row 0: expected the bytes of an image/)
  })

  it('are refused if they are truncated, damaged or something else', async () => {
    await open({
      image: Array(50).fill(bytes),
      label: Array.from({ length: 50 }, (_, i) => `label ${i % 3}`),
    })
    const whole = await readFile(path)
    for (const end of [0, 1, 4, 8, 11, whole.length >> 1, whole.length - 1]) {
      await truncate(path, 0)
      await writeFile(path, whole.subarray(0, end))
      await assert.rejects(fromParquet(path), { code: 'ERR_DATASET' }, `${end} bytes`)
    }
    await writeFile(path, 'PAR1 but not really, PAR1')
    await assert.rejects(fromParquet(path), ERR_DATASET(/a\.parquet: is not a readable Parquet file/))
  })

  it('with any byte changed are read or refused, with little memory and time', async function () {
    this.timeout(60_000)
    await open({ image: Array(6).fill(bytes), label: Array.from({ length: 6 }, (_, i) => `label ${i % 3}`) })
    const whole = await readFile(path)
    const before = process.memoryUsage().rss
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 0x7f, 0xff]) {
        const changed = Buffer.from(whole)
        changed[at] = value
        await writeFile(path, changed)
        await fromParquet(path).catch(error =>
          assert.equal(error.code, 'ERR_DATASET', `byte ${at}: ${error.stack}`),
        )
      }
    }
    assert.ok(process.memoryUsage().rss - before < 500e6)
  })
})

describe('samples from a program', () => {
  after(removeTemporaryFolders)
  const image = { data: new Uint8Array(12), width: 2, height: 2, channels: 3 }

  it('are refused if they are not images with labels', async () => {
    const wrong = (samples: unknown, message: RegExp, code = 'ERR_INVALID_ARGUMENT') =>
      assert.rejects(fromSamples(samples as LabelledSample[]), { code, message })
    await wrong(5, /samples: expected an iterable/)
    await wrong('abc', /samples: expected an iterable/)
    await wrong([null], /samples\[0\]: expected an object/)
    await wrong([{ image: 5, label: 'a' }], /input: expected a path/)
    await wrong([{ image: 'https://x.org/a.png', label: 'a' }], /Fetch it first/)
    await wrong([{ image }], /samples\[0\]: expected a label/, 'ERR_DATASET')
    await wrong(
      [
        { image, label: 'a' },
        { image, label: 'b', split: 'x' },
      ],
      /samples\[1\]: expected one of the splits/,
      'ERR_DATASET',
    )
    await wrong([], /samples: expected at least one/)
    const failing = (async function* () {
      yield { image, label: 'a' }
      throw new Error('the database is gone')
    })()
    await assert.rejects(fromSamples(failing), /the database is gone/)
  })

  it('may reuse their buffers', async () => {
    const bytes = Buffer.from([0])
    const data = await fromSamples(
      (function* () {
        for (let i = 0; i < 4; i++) {
          bytes[0] = i
          yield { image: bytes, label: `class ${i % 2}` }
        }
      })(),
      { valFraction: 0 },
    )
    const read = await Promise.all(data.split('train').map(({ read }) => read!()))
    assert.deepEqual(
      read.map(([byte]) => byte),
      [0, 1, 2, 3],
    )
  })

  it('stop when the signal is aborted', async () => {
    const controller = new AbortController()
    const endless = (function* () {
      for (let i = 0; ; i++) {
        if (i === 100) controller.abort()
        yield { image, label: `class ${i % 2}` }
      }
    })()
    await assert.rejects(fromSamples(endless, { signal: controller.signal }), { name: 'AbortError' })
  })

  it('that do not fit into memory are kept on disk, in an unlinked file', async () => {
    const root = await temporaryFolder()
    const store = new ImageStore(1000, join(root, 'cache'))
    const reads: (() => Promise<Uint8Array>)[] = []
    for (let i = 0; i < 30; i++) reads.push(await store.add(Buffer.alloc(100, i)))
    for (const [i, read] of reads.entries()) assert.deepEqual(await read(), Buffer.alloc(100, i))
    await writeFiles(root, ['marker'])
    const { readdir } = await import('node:fs/promises')
    assert.deepEqual(await readdir(join(root, 'cache')), [])
    const full = new ImageStore(0, join(root, 'marker/cache'))
    await assert.rejects(full.add(Buffer.alloc(1)), { code: 'ERR_FILE_WRITE' })
  })
})
