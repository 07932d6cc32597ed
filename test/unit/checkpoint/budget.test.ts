import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspectCheckpoint, readCheckpoint, writeCheckpoint } from '../../../lib/index.js'
import { i64, legacyFile, op, pickle, storage, tar, tensor, zip, zipFile } from '../../support/pth.js'
import { skip } from '../../support/skip.js'

const many = (count: number, ...parts: (Uint8Array | string)[]) => {
  const part = Buffer.concat(parts.map(part => Buffer.from(part as string, 'latin1')))
  return Buffer.alloc(count * part.length, part)
}
const megabyte = 'k'.repeat(1 << 20)
/** Makes a list of `count` references to a list of `count` references to an item. */
const squared = (item: Uint8Array | string, count: number) =>
  op.list(op.list(item, op.put(1), many(count, op.get(1))), op.put(2), many(count, op.get(2)))
const reduced = (name: string, argument: Uint8Array, count: number) =>
  op.list(
    op.global(name),
    op.put(1),
    op.tuple(argument),
    op.put(2),
    'R',
    many(count, op.get(1), op.get(2), 'R'),
  )
const tarFile = (object: Uint8Array, views = op.list()) =>
  tar([
    { name: 'sys_info', data: pickle('}') },
    {
      name: 'storages',
      data: Buffer.concat([
        pickle(op.int(1)),
        pickle(op.tuple(op.int(1), op.str('cpu'), op.global('torch.FloatStorage'))),
        i64(4),
        new Uint8Array(16),
        pickle(views),
      ]),
    },
    {
      name: 'tensors',
      data: Buffer.concat([
        pickle(op.int(1)),
        pickle(op.tuple(op.int(1), op.int(1), op.global('torch.FloatTensor'))),
        i64(1),
        i64(4),
        i64(1),
        i64(0),
      ]),
    },
    { name: 'pickle', data: pickle(object) },
  ])

/** Files of kilobytes to a few megabytes that ask for gigabytes or minutes. */
const hostile: Record<string, () => Uint8Array> = {
  'one long key above many tensors': () =>
    zipFile(op.dict(op.str(megabyte), op.list(tensor(), op.put(1), many(50_000, op.get(1))))),
  'a device with a long name, made repeatedly': () =>
    zipFile(reduced('torch.device', op.str(megabyte), 60_000)),
  'bytes of a long text, made repeatedly': () =>
    zipFile(reduced('builtins.bytearray', Buffer.concat([op.str(megabyte), op.str('latin-1')]), 60_000)),
  'copies of a long list': () => zipFile(reduced('builtins.set', op.list(many(100_000, 'N')), 60_000)),
  'a storage with a long name': () =>
    zipFile(
      op.list(
        op.tuple(
          op.str('storage'),
          op.global('torch.FloatStorage'),
          op.str(megabyte),
          op.str('cpu'),
          op.int(4),
        ),
        op.put(1),
        'Q',
        many(200_000, op.get(1), 'Q'),
      ),
    ),
  'references to one storage': () =>
    zipFile(
      op.list(
        op.tuple(op.str('storage'), op.global('torch.FloatStorage'), op.str('0'), op.str('cpu'), op.int(4)),
        op.put(1),
        'Q',
        many(300_000, op.get(1), 'Q'),
      ),
    ),
  'countless tensors': () =>
    zipFile(
      op.list(
        Buffer.concat(
          Array.from({ length: 100_000 }, (_, i) => tensor({ key: String(i), numel: 0, sizes: [0] })),
        ),
      ),
    ),
  'a tensor with 200,000 names': () =>
    zipFile(
      op.dict(
        op.int(0),
        tensor(),
        op.put(1),
        Buffer.concat(Array.from({ length: 200_000 }, (_, i) => Buffer.concat([op.int(i + 1), op.get(1)]))),
      ),
    ),
  'countless storages': () =>
    zipFile(
      op.list(
        Buffer.concat(Array.from({ length: 200_000 }, (_, i) => storage({ key: String(i), numel: 0 }))),
      ),
    ),
  'a million references to a tensor': () => zipFile(squared(tensor(), 2000)),
  'a million references to an empty tensor': () =>
    zipFile(squared(tensor({ sizes: [0], strides: [1] }), 2000)),
  'a million references to an empty dictionary': () => zipFile(squared('}', 2000)),
  'a million references to a text': () => zipFile(squared(op.str('x'), 2000)),
  'countless dictionaries': () => zipFile(Buffer.concat([Buffer.from('('), many(2_000_000, '}')])),
  'a legacy file of empty tuples': () => legacyFile(op.list(many(2_000_000, 'N', '\x85'))),
  'countless memo entries': () =>
    zipFile(Buffer.concat([Buffer.from('N'), ...Array.from({ length: 800_000 }, (_, i) => op.put(i))])),
  'a global with a long name': () =>
    zipFile(Buffer.concat([op.str(megabyte), op.str('n'), Buffer.from([0x93])])),
  'a long key twice': () => zipFile(op.dict(op.str(megabyte), 'N', op.str(megabyte), 'N')),
  'a tensor that is larger than its storage': () =>
    zipFile(op.dict(op.str('w'), tensor({ sizes: [10_000, 10_000], strides: [0, 0] }))),
  'operations without effect': () => zipFile(Buffer.concat([many(8_000_000, 'N', '0'), Buffer.from('N')])),
  'a tar file whose reference to a tensor has a million digits': () =>
    tarFile(op.list(op.str(`${'0'.repeat(1 << 20)}1`), op.put(1), many(200_000, op.get(1), 'Q'))),
  'a tar file with countless views': () =>
    tarFile(
      op.list(),
      op.list(
        Buffer.concat(
          Array.from({ length: 100_000 }, (_, i) => op.tuple(op.int(i + 2), op.int(1), op.int(0), op.int(4))),
        ),
      ),
    ),
  'a zip file with very many records': () =>
    zip([
      { name: 'a/data.pkl', data: pickle('N') },
      { name: 'a/version', data: '3\n' },
      ...Array.from({ length: 60_000 }, (_, i) => ({ name: `a/${i}`, data: '' })),
    ]),
}

describe('the budget of a checkpoint', function () {
  this.timeout(120_000)
  let directory: string
  let path: string
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-budget-'))
    path = join(directory, 'file.pth')
  })
  after(() => rmSync(directory, { recursive: true }))

  for (const [name, make] of Object.entries(hostile)) {
    it(`suffices for ${name}: a second, and 64 MiB more than the file's size`, function () {
      if (process.platform !== 'linux') skip(this, 'the test reads /proc')
      writeFileSync(path, make())
      const command = ['--import', 'tsx', 'test/support/budget-child.ts', path]
      const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' })
      assert.equal(status, 0, stderr)
      const most = 64 + statSync(path).size / 2 ** 20
      for (const [way, { code, message, seconds, growth }] of Object.entries(
        JSON.parse(stdout) as Record<
          string,
          { code: string; message: string; seconds: number; growth: number }
        >,
      )) {
        assert.match(code, /^(ok|ERR_\w+)$/, `${way}: ${code}: ${message}`)
        assert.ok(message.length < 2000, `${way}: a message of ${message.length} characters`)
        assert.ok(growth <= most, `${way} grew by ${growth} MiB`)
        assert.ok(seconds <= 1, `${way} took ${seconds} s of processor time`)
      }
    })
  }

  it('is large enough for a checkpoint of 30,000 tensors', async () => {
    const names = Array.from({ length: 30_000 }, (_, i) => `layer${i}.block.conv.weight`)
    await writeTensors(names)
    assert.equal((await inspectCheckpoint(path)).tensors.length, names.length)
    assert.equal(((await readCheckpoint(path)) as Map<string, unknown>).size, names.length)
  })

  it('is too small for a checkpoint of 100,000 tensors, which is refused', async () => {
    await writeTensors(Array.from({ length: 100_000 }, (_, i) => `layer${i}`))
    const refusal = { code: 'ERR_CHECKPOINT_UNSUPPORTED', message: /more than 32768 tensors.*Save only/ }
    await assert.rejects(inspectCheckpoint(path), refusal)
  })

  async function writeTensors(names: readonly string[]) {
    const tensor = () => ({ dtype: 'float32' as const, shape: [1], data: new Float32Array(1) })
    await writeCheckpoint(path, new Map(names.map(name => [name, tensor()])))
  }
})
