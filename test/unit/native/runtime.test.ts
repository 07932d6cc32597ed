import assert from 'node:assert/strict'
import { checkArchitecture, listArchitectures } from '../../../lib/model/architectures.js'
import { resolveDevice, runtimeInfo, setThreads } from '../../../lib/native/runtime.js'

describe('devices', () => {
  const none = { cuda: false, cudaDevices: 0 }
  const two = { cuda: true, cudaDevices: 2 }

  it("'auto' is the first CUDA device if there is one, otherwise the CPU", () => {
    assert.equal(resolveDevice('auto', none), 'cpu')
    assert.equal(resolveDevice('auto', two), 'cuda:0')
  })
  it('names one device', () => {
    assert.equal(resolveDevice('cpu', two), 'cpu')
    assert.equal(resolveDevice('cuda', two), 'cuda:0')
    assert.equal(resolveDevice('cuda:1', two), 'cuda:1')
  })
  it('says what to do if the device is missing', () => {
    assert.throws(() => resolveDevice('cuda', none), { code: 'ERR_DEVICE', message: /Use 'cpu' or 'auto'/ })
    assert.throws(() => resolveDevice('cuda:2', two), { code: 'ERR_DEVICE', message: /cuda:0 to cuda:1/ })
  })
  it('refuses other words', () => {
    assert.throws(() => resolveDevice('gpu', none), { code: 'ERR_INVALID_ARGUMENT', message: /got 'gpu'/ })
    assert.throws(() => resolveDevice(0, none), { code: 'ERR_INVALID_ARGUMENT' })
  })
})

describe('threads', () => {
  it('apply to the whole process', () => {
    const { threads } = runtimeInfo()
    setThreads(1)
    assert.equal(runtimeInfo().threads, 1)
    setThreads(threads)
  })
  it('must be at least one', () => {
    assert.throws(() => setThreads(0), { code: 'ERR_INVALID_ARGUMENT' })
  })
})

describe('architectures', () => {
  it("have torchvision's names", () => {
    assert.ok(listArchitectures().includes('mobilenet_v2'))
  })
  it('suggest the nearest name', () => {
    assert.throws(() => checkArchitecture('mobilenetV2'), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /Did you mean 'mobilenet_v2'/,
    })
  })
})
