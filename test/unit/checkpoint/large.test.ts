import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspectCheckpoint, readCheckpoint } from '../../../lib/index.js'
import { native } from '../../../lib/native/native.js'
import { i64, legacyFile, op, pickle, tensor } from '../../support/pth.js'

describe('large checkpoints', () => {
  it('are inspected, and refused if truncated, without reading their data', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'visiontorch-large-'))
    const path = join(directory, 'large.pth')
    try {
      const numel = 2 ** 32 + 8
      const parts = { numel, sizes: [numel], type: 'ByteStorage', view: 'N' }
      const header = legacyFile(tensor(parts), Buffer.concat([pickle(op.list(op.str('0'))), i64(numel)]))
      writeFileSync(path, header)
      truncateSync(path, header.length + numel) // a hole, which takes no space on the disk
      native() // LibTorch's own memory does not count
      const before = process.resourceUsage().maxRSS
      const { tensors } = await inspectCheckpoint(path)
      assert.deepEqual(tensors, [{ name: '', dtype: 'uint8', shape: [numel], bytes: numel }])
      truncateSync(path, header.length + numel - 1)
      await assert.rejects(readCheckpoint(path), { code: 'ERR_CHECKPOINT_CORRUPT' })
      const growth = (process.resourceUsage().maxRSS - before) / 1024
      assert.ok(growth <= 64, `grew by ${growth} MiB`)
    } finally {
      rmSync(directory, { recursive: true })
    }
  })
})
