import assert from 'node:assert/strict'
import { native } from '../../../lib/native/native.js'

describe('the addon', () => {
  it('says which LibTorch it runs on', () => {
    const info = native().runtimeInfo()
    assert.match(info.libtorchVersion, /^2\.\d+\.\d+$/)
    assert.ok(info.threads >= 1)
  })

  it('says which kernels it computes with', () => {
    assert.match(native().runtimeInfo().kernels, /^(AVX512_BF16|AVX512|AVX2|oneDNN)$/)
  })
})
