import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { skip } from '../support/skip.js'

const emulator = 'qemu-x86_64-static'

describe('a processor without AVX2', function () {
  this.timeout(300_000)
  before(function () {
    if (process.arch !== 'x64') skip(this, 'this processor is not x64')
    if (spawnSync(emulator, ['--version']).status !== 0) skip(this, 'qemu-user is not installed')
  })

  it("computes the same features with LibTorch's own kernels", () => {
    const program = 'test/support/print-prediction.mjs'
    const run = (command: string, args: string[]) =>
      JSON.parse(execFileSync(command, args, { encoding: 'utf8' }))
    const here = run(process.execPath, [program])
    const old = run(emulator, ['-cpu', 'Nehalem', process.execPath, program])
    assert.equal(old.kernels, 'oneDNN')
    assert.equal(old.cpuCapability, 'DEFAULT')
    const largest = Math.max(...here.features.map(Math.abs))
    for (const [i, feature] of here.features.entries())
      assert.ok(Math.abs(feature - old.features[i]) <= 1e-5 * largest, `feature ${i}`)
  })
})
