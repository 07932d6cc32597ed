import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'

// In a process of its own that may use a gigabyte more than it already has: the input of the training step takes 400 MB.
const program = `
  import { execFileSync } from 'node:child_process'
  import { readFileSync } from 'node:fs'
  import { native } from './lib/native/native.js'
  import { predict } from './lib/index.js'
  import { plainSgd } from './test/support/plain-sgd.js'
  import { smallNetwork } from './test/support/small-network.js'

  const model = await smallNetwork()
  model.preprocessing = { ...model.preprocessing, resize: 32, crop: 32 }
  const image = { data: new Uint8Array(32 * 32 * 3), width: 32, height: 32, channels: 3 }
  await predict(model, image, { allowUntrained: true })
  const has = 1024 * Number(/VmSize:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
  execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + (has + 2 ** 30)])

  const size = 4096
  const large = { data: new Uint8Array(size * size * 3), width: size, height: size, channels: 3 }
  const failed = {}
  const attempt = async (name, work) => {
    failed[name] = await work().then(() => 'nothing', error => [error.name, error.code, error.message])
  }
  const step = { learningRate: 1e-3, seed: 0, scale: 1, update: true, mixed: null }
  await attempt('a batch', async () => new (native().ImageBatch)(64, size, size, [0, 0, 0], [1, 1, 1]))
  await attempt('training', async () => {
    const batch = new (native().ImageBatch)(1, size, size, [0, 0, 0], [1, 1, 1])
    batch.setTensor(new Float32Array(3 * size * size))
    const trainer = await native().createTrainer(model.network, { ...plainSgd, dtype: 'float32' })
    await trainer.step(batch, new Int32Array(1), step)
  })
  await predict(model, image, { allowUntrained: true })
  console.log(JSON.stringify(failed))
`

describe('a process whose memory runs out', function () {
  this.timeout(120_000)

  it('gets ERR_OUT_OF_MEMORY with a remedy, and can still compute', () => {
    const args = ['--import', 'tsx', '--input-type=module', '--eval', program]
    const failed = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' }))
    const expected = [
      'VisionTorchError',
      'ERR_OUT_OF_MEMORY',
      'out of memory: use smaller batches or smaller images, or dispose of other models',
    ]
    assert.deepEqual(failed, { 'a batch': expected, training: expected })
  })
})
