import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'

// ResNet18 has 45 MiB of weights.
const program = `
  import { setTimeout } from 'node:timers/promises'
  import { createModel, predict } from './lib/index.js'

  const image = { data: new Uint8Array(32 * 32 * 3), width: 32, height: 32, channels: 3 }
  async function use() {
    const model = await createModel('resnet18', { numClasses: 2 })
    model.preprocessing = { ...model.preprocessing, resize: 32, crop: 32 }
    await predict(model, image, { allowUntrained: true })
  }
  const memory = []
  for (let i = 0; i < 24; i++) {
    await use()
    gc()
    await setTimeout(0) // lets the finalizers run, which need a task of their own
    memory.push(process.memoryUsage.rss() / 2 ** 20)
  }
  console.log(JSON.stringify(memory))
`

describe('models that are not disposed of', function () {
  this.timeout(120_000)

  it('free their memory when they are garbage-collected', () => {
    const args = ['--expose-gc', '--import', 'tsx', '--input-type=module', '--eval', program]
    const memory = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as number[]
    const growth = Math.max(...memory.slice(12)) - Math.max(...memory.slice(0, 12))
    assert.ok(growth < 200, `${Math.round(growth)} MiB more after 24 models than after 12`)
  })
})
