import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type CheckpointValue,
  inspectCheckpoint,
  readCheckpoint,
  writeCheckpoint,
} from '../../../lib/index.js'

const tensor = (n: number) => ({ dtype: 'float32' as const, shape: [n], data: new Float32Array(n).fill(n) })

describe('writing checkpoints', () => {
  let directory: string
  let path: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-write-'))
    path = join(directory, 'model.pth')
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('reads back the written values', async () => {
    const value = new Map<CheckpointValue, CheckpointValue>([
      ['state_dict', new Map([['conv1.weight', tensor(3)]])],
      ['epoch', 7],
    ])
    await writeCheckpoint(path, value)
    assert.deepEqual(await readCheckpoint(path, { verify: true }), value)
    assert.deepEqual(await inspectCheckpoint(path), {
      container: 'zip',
      tensors: [{ name: 'state_dict/conv1.weight', dtype: 'float32', shape: [3], bytes: 12 }],
      skipped: [],
      metadata: new Map([['epoch', 7]]),
    })
  })

  it('writes tensors with the same data once', async () => {
    const tied = tensor(100_000)
    await writeCheckpoint(path, [tied, { ...tied, shape: [1000, 100] }])
    assert.ok(statSync(path).size < 1.5 * tied.data.byteLength)
    assert.deepEqual(await readCheckpoint(path), [tied, { ...tied, shape: [1000, 100] }])
  })

  it('replaces an existing file atomically, and leaves nothing else', async () => {
    await writeCheckpoint(path, tensor(1))
    const before = await readCheckpoint(path)
    await Promise.all(Array.from({ length: 8 }, (_, i) => writeCheckpoint(path, tensor(i + 2))))
    assert.deepEqual(before, tensor(1), 'tensors that were read from it stay as they were')
    assert.deepEqual(readdirSync(directory), ['model.pth'])
    await readCheckpoint(path, { verify: true })
  })

  it('leaves the old file, and nothing else, after an error', async () => {
    await writeCheckpoint(path, tensor(1))
    const before = readFileSync(path)
    // The shell's limit on file sizes simulates a full disk.
    const script = `
      import { writeCheckpoint } from ${JSON.stringify(join(import.meta.dirname, '../../../lib/index.ts'))}
      const data = new Float32Array(1 << 20)
      await writeCheckpoint(${JSON.stringify(path)}, { dtype: 'float32', shape: [data.length], data }).catch(error => {
        console.log(error.code, error.message)
      })`
    const file = join(directory, 'child.mts')
    writeFileSync(file, script)
    const node = `exec '${process.execPath}' --import tsx '${file}'`
    const child = spawnSync('bash', ['-c', `trap '' XFSZ; ulimit -f 1024; ${node}`], { encoding: 'utf8' })
    assert.match(child.stdout, /^ERR_FILE_WRITE cannot write .*model\.pth: File too large/, child.stderr)
    assert.deepEqual(readFileSync(path), before)
    assert.deepEqual(readdirSync(directory), ['child.mts', 'model.pth'])
  })

  it('names a path that cannot be written, with a remedy', async () => {
    await assert.rejects(writeCheckpoint(join(directory, 'missing/model.pth'), null), {
      code: 'ERR_FILE_WRITE',
      message: /missing\/model\.pth: its directory does not exist\. Create it first/,
    })
    mkdirSync(path)
    await assert.rejects(writeCheckpoint(path, null), { code: 'ERR_FILE_WRITE', message: /directory/i })
    assert.deepEqual(readdirSync(directory), ['model.pth'])
  })

  it('refuses values that a checkpoint cannot hold, and names their place', async () => {
    const refuses = (value: unknown, message: RegExp) =>
      assert.rejects(writeCheckpoint(path, value as CheckpointValue), {
        code: 'ERR_INVALID_ARGUMENT',
        message,
      })
    await refuses(undefined, /^value: expected null, a boolean/)
    await refuses({ a: 1 }, /^value: .*write objects as Maps/)
    await refuses([1, () => 1], /^value\[1\]: expected/)
    await refuses(new Map([['a', [Symbol('x')]]]), /^value\.get\('a'\)\[0\]: expected/)
    await refuses(new Map([[{}, 1]]), /^a key of value: expected a string/)
    await refuses(Uint8Array.of(1), /^value: expected/)
    await refuses({ ...tensor(2), dtype: 'complex99' }, /^value\.dtype: expected the name of a type/)
    await refuses({ ...tensor(2), shape: [3] }, /^value\.data: .*12 bytes/)
    await refuses({ ...tensor(2), shape: [-2] }, /^value\.shape\[0\]: expected an integer/)
    await refuses({ ...tensor(2), shape: [2 ** 52, 2 ** 52] }, /^value\.data: /)
    await refuses({ ...tensor(2), data: new Int32Array(2) }, /^value\.data: /)
    await refuses({ ...tensor(2), data: [1, 2] }, /^value\.data: /)
    const cycle: unknown[] = []
    cycle.push(cycle)
    await refuses(cycle, /nested at most 256 deep/)
    assert.deepEqual(readdirSync(directory), [])
  })

  it('checks its arguments', async () => {
    await assert.rejects(readCheckpoint(5 as never), { code: 'ERR_INVALID_ARGUMENT', message: /^path: / })
    await assert.rejects(readCheckpoint(path, { verfy: true } as never), /Did you mean 'verify'/)
    await assert.rejects(readCheckpoint(path), {
      code: 'ERR_FILE_NOT_FOUND',
      message: /no such file: '.*model\.pth'/,
    })
    await assert.rejects(readCheckpoint(directory), { code: 'ERR_FILE_READ', message: /is a directory/ })
  })
})
