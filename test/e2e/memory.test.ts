import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { createModel } from '../../lib/model/create-model.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'

// Makes a training step, whose activations take most of a gigabyte, and then nothing. Measures the resident size in MiB
// after the step and at the end, which comes when a third has been returned, or after two minutes.
const program = `
  import { setTimeout } from 'node:timers/promises'
  import { createModel } from './lib/model/create-model.js'
  import { native } from './lib/native/native.js'
  import { plainSgd } from './test/support/plain-sgd.js'
  const model = await createModel('mobilenet_v2', { numClasses: 2, device: 'cpu' })
  const batch = model.createBatch(12)
  batch.setTensor(new Float32Array(12 * 3 * 224 * 224))
  const trainer = await native().createTrainer(model.network, plainSgd)
  const step = { learningRate: 1e-3, seed: 0, scale: 1, update: true, mixed: null }
  await trainer.step(batch, new Int32Array(12), step)
  const rss = () => process.memoryUsage.rss() / 2 ** 20
  const after = rss()
  let end = after
  for (let i = 0; i < 240 && end > after * 2 / 3; i++) {
    await setTimeout(500)
    end = rss()
  }
  console.log(JSON.stringify([after, end, await trainer.step(batch, new Int32Array(12), step)]))
`

// Loads a checkpoint of 220 MiB and makes a trainer, which copies the weights into memory of its own. Prints by how many
// MiB the process has grown.
const trainerProgram = `
  import { loadModel } from './lib/model/create-model.js'
  import { native } from './lib/native/native.js'
  import { plainSgd } from './test/support/plain-sgd.js'
  const model = await loadModel(process.env.CHECKPOINT, { device: 'cpu' })
  const rss = () => process.memoryUsage.rss() / 2 ** 20
  const before = rss()
  const trainer = await native().createTrainer(model.network, plainSgd)
  console.log(rss() - before)
`

// Loads a quantized checkpoint and predicts. Prints the process's peak in MiB before and after.
const quantizedProgram = `
  import { readFileSync } from 'node:fs'
  import { loadModel } from './lib/model/create-model.js'
  // A process's maxRSS begins with that of its parent.
  const peak = () => Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024
  const before = peak()
  const model = await loadModel(process.env.CHECKPOINT, { device: 'cpu' })
  const batch = model.createBatch(1)
  batch.setTensor(new Float32Array(3 * 224 * 224))
  await model.network.forward(batch, 1, 'logits')
  console.log(peak() - before)
`

const run = (source: string, env = {}) =>
  JSON.parse(
    execFileSync(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', source], {
      encoding: 'utf8',
      env: { ...process.env, ...env },
    }),
  )

describe('the memory of a process', function () {
  this.timeout(180_000)
  after(removeTemporaryFolders)

  it('holds the weights of a loaded model that is trained once', async () => {
    const path = join(await temporaryFolder(), 'alexnet.pth')
    using model = await createModel('alexnet', { numClasses: 2, device: 'cpu' })
    await model.save(path)
    const growth = run(trainerProgram, { CHECKPOINT: path })
    assert.ok(growth < 100, `grew by ${growth} MiB`)
  })

  it('holds the weights of a quantized model in float32 and in integers, and no other copy of a large layer', async () => {
    const path = join(await temporaryFolder(), 'alexnet.int8.pth')
    using model = await createModel('alexnet', { numClasses: 2, device: 'cpu' })
    const image = { data: new Uint8ClampedArray(64 * 64 * 3), width: 64, height: 64, channels: 3 as const }
    using quantized = await model.quantize([image], { keep: 'none' })
    await quantized.save(path)
    const growth = run(quantizedProgram, { CHECKPOINT: path })
    assert.ok(growth < 600, `grew by ${growth} MiB`)
  })

  it('is returned to the system when nothing is computed any more', () => {
    const [after, end, step] = run(program)
    console.log(`      (${after.toFixed(0)} MiB after a step, ${end.toFixed(0)} later)`)
    assert.ok(end <= (after * 2) / 3)
    assert.ok(Number.isFinite(step.loss)) // and it can still compute
  })
})
