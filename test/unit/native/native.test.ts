import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { native } from '../../../lib/native/native.js'

describe('the addon', () => {
  it('says which LibTorch it uses', () => {
    const info = native().runtimeInfo()
    assert.match(info.libtorchVersion, /^2\.\d+\.\d+$/)
    assert.ok(info.threads >= 1)
  })

  it('says which kernels it uses', () => {
    assert.match(native().runtimeInfo().kernels, /^(AVX512_BF16|AVX512|AVX2|oneDNN)$/)
  })

  it('refuses an unknown value of VISIONTORCH_KERNELS, and lists those that this processor supports', () => {
    const env = { ...process.env, VISIONTORCH_KERNELS: 'avx1024' }
    const command = ['--import', 'tsx', 'lib/cli/main.ts', 'summary', '--model', 'resnet18']
    const { status, stderr } = spawnSync(process.execPath, command, { env, encoding: 'utf8' })
    assert.equal(status, 2, stderr)
    assert.match(
      stderr,
      /^error: VISIONTORCH_KERNELS: expected a value that this processor supports \((avx\w+, )*onednn\), got 'avx1024'\n$/,
    )
  })
})
