import assert from 'node:assert/strict'
import { native } from '../../lib/native.js'

describe('the addon', () => {
  it('says which LibTorch it runs on', () => {
    const info = native().runtimeInfo()
    assert.match(info.libtorchVersion, /^2\.\d+\.\d+$/)
    assert.ok(info.threads >= 1)
  })
})
