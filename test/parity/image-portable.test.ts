import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { native } from '../../lib/native/native.js'
import { skip } from '../support/skip.js'

const script = fileURLToPath(new URL('../support/resize-digest.ts', import.meta.url))

describe('resizing', () => {
  it('gives the same bytes with and without vector instructions', function () {
    if (native().runtimeInfo().cpuCapability === 'DEFAULT') {
      skip(this, 'this processor does not have vector instructions that LibTorch uses')
    }
    const digest = (capability: Record<string, string>) => {
      const result = spawnSync(process.execPath, ['--import', 'tsx', script], {
        env: { ...process.env, ...capability },
        encoding: 'utf8',
      })
      assert.equal(result.status, 0, result.stderr)
      return JSON.parse(result.stdout) as { capability: string; sha256: string }
    }
    const portable = digest({ ATEN_CPU_CAPABILITY: 'default' })
    const vectorised = digest({})
    assert.equal(portable.capability, 'DEFAULT')
    assert.notEqual(vectorised.capability, 'DEFAULT')
    assert.equal(vectorised.sha256, portable.sha256)
  })
})
