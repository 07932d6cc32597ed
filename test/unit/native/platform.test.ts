import assert from 'node:assert/strict'
import { muslAdvice, unsupported } from '../../../lib/native/platform.js'

describe('platforms', () => {
  it('are Linux on x64 and arm64', () => {
    assert.equal(unsupported('linux', 'x64'), null)
    assert.equal(unsupported('linux', 'arm64'), null)
  })
  it('are macOS on Apple processors', () => {
    assert.equal(unsupported('darwin', 'arm64'), null)
  })
  it('that are not supported get an error that says what works', () => {
    assert.match(
      unsupported('win32', 'x64')!,
      /built for linux-x64, linux-arm64 \(with glibc\) and darwin-arm64, but this is win32-x64.*WSL 2/,
    )
    assert.match(unsupported('darwin', 'x64')!, /this is darwin-x64.*Intel.*node:22-slim/)
    assert.match(unsupported('linux', 'riscv64')!, /no LibTorch for this processor/)
    assert.match(unsupported('freebsd', 'x64')!, /Run it on Linux/)
  })
  it('without glibc are told which image has it', () => {
    assert.match(muslAdvice(null), /needs glibc.*node:22-slim/)
    assert.equal(muslAdvice('2.36'), '')
  })
  it('are not blamed if the runtime, such as Bun, does not know its C library', () => {
    assert.equal(muslAdvice('unknown'), '')
  })
})
