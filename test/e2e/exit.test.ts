import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

// A program that computes as much as it can, and ends in the midst of it.
const program = (milliseconds: number) => `
  import { createModel } from './lib/create-model.js'
  const model = await createModel('mobilenet_v2', { numClasses: 2 })
  const image = { data: new Uint8Array(64 * 64 * 3), width: 64, height: 64, channels: 3 }
  for (let i = 0; i < 100; i++) model.predict(image, { batchSize: 2 }).catch(() => {})
  setTimeout(() => process.exit(3), ${milliseconds})
`

describe('process.exit()', function () {
  this.timeout(120_000)
  for (const milliseconds of [0, 20, 50, 100]) {
    it(`ends the process cleanly while the network computes (after ${milliseconds} ms)`, () => {
      const args = ['--import', 'tsx', '--input-type=module', '--eval', program(milliseconds)]
      const { status, signal, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
      assert.deepEqual({ status, signal, stderr }, { status: 3, signal: null, stderr: '' })
    })
  }
})
