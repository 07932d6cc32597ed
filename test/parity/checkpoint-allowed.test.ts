import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CheckpointValue, inspectCheckpoint, readCheckpoint, writeCheckpoint } from '../../lib/index.js'
import { isTensor } from '../support/checkpoint.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

type Json = null | boolean | number | string | Json[] | { [key: string]: Json }

/** The normal form of test/reference/allowed_globals.py. */
function describeValue(value: CheckpointValue): Json {
  if (value === null || typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string')
    return value
  if (typeof value === 'bigint') return { bigint: String(value) }
  if (value instanceof Uint8Array) return { bytes: [...value] }
  if (Array.isArray(value)) return value.map(describeValue)
  if (isTensor(value)) {
    const { dtype, shape, data } = value
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
    return { dtype, shape, sha256: createHash('sha256').update(bytes).digest('hex') }
  }
  return { map: [...value].map(([key, item]) => [describeValue(key), describeValue(item)]) }
}

describe('checkpoints that torch.load(weights_only=True) allows', function () {
  this.timeout(120_000)
  let directory: string
  let expected: { allowed: string[]; files: Record<string, Json> }
  before(function () {
    if (!python) skip(this, NO_PYTHON)
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-allowed-'))
    runReference('allowed_globals.py', directory)
    expected = JSON.parse(readFileSync(join(directory, 'expected.json'), 'utf8'))
  })
  after(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true })
  })

  it('all of its globals are read with the values that Python reads', async () => {
    assert.ok(expected.allowed.length >= 144, 'the script found the globals of torch 2.13')
    for (const [file, value] of Object.entries(expected.files)) {
      const path = join(directory, file)
      assert.deepEqual(describeValue(await readCheckpoint(path, { verify: true })), value, file)
      assert.deepEqual((await inspectCheckpoint(path)).skipped, [], file)
    }
  })

  it("none of them makes LibTorch warn on the user's stderr", () => {
    const program = `await (await import('./lib/index.ts')).readCheckpoint(process.argv[1])`
    for (const file of ['dtypes.pth', 'conj.pth']) {
      const args = ['--import', 'tsx', '--input-type=module', '-e', program, join(directory, file)]
      const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
      assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, file)
    }
  })

  it('a tensor in several places is one object, and tied tensors share their data', async () => {
    const shared = (await readCheckpoint(join(directory, 'shared.pth'))) as CheckpointValue[]
    assert.equal(shared[0], shared[1])
    assert.equal((shared[2] as Map<string, CheckpointValue>).get('again'), shared[0])
  })

  it('all values survive being written and read again', async () => {
    for (const file of ['dtypes.pth', 'conj.pth', 'quantized.pth', 'sparse.pth', 'counter.pth']) {
      const value = await readCheckpoint(join(directory, file))
      const copy = join(directory, 'copy.pth')
      await writeCheckpoint(copy, value)
      assert.deepEqual(await readCheckpoint(copy, { verify: true }), value, file)
    }
  })
})
