import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { loadModel, VisionTorchError } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { smallNetwork } from '../support/small-network.js'

const image = {
  data: Uint8Array.from({ length: 32 * 32 * 3 }, (_, i) => (i * 7919) & 255),
  width: 32,
  height: 32,
  channels: 3,
} as const

// Each of these repeatedly rewrites the file with one of two models.
const writers = {
  'overwritten in place, piece by piece': `
    const file = openSync(path, 'r+')
    for (let at = 0; at < bytes.length; at += 4096) writeSync(file, bytes, at, Math.min(4096, bytes.length - at), at)
    closeSync(file)`,
  'truncated and rewritten': 'writeFileSync(path, bytes)',
  'replaced by renaming': "writeFileSync(path + '.new', bytes); renameSync(path + '.new', path)",
}

describe('a checkpoint that another program keeps writing to', function () {
  this.timeout(60_000)
  let writer: ChildProcess
  afterEach(async () => {
    writer.kill('SIGKILL')
    await removeTemporaryFolders()
  })

  for (const [name, write] of Object.entries(writers)) {
    it(`${name}, loads as one of the two models, or is refused`, async () => {
      const directory = await temporaryFolder()
      const path = join(directory, 'model.pth')
      const models = await Promise.all(
        [1, 2].map(async seed => {
          const file = join(directory, `${seed}.pth`)
          using model = await smallNetwork({ seed })
          await model.save(file)
          return { file, prediction: JSON.stringify(await model.predict(image, { topK: 3 })) }
        }),
      )
      using model = await smallNetwork()
      await model.save(path)
      const script = `
        import { closeSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
        const [path, ...files] = process.argv.slice(1)
        const contents = files.map(file => readFileSync(file))
        process.stdout.write('ready')
        for (let i = 0; ; i++) {
          const bytes = contents[i % 2]
          ${write}
          await new Promise(resolve => setTimeout(resolve, i % 5))
        }`
      const args = ['--input-type=module', '-e', script, path, ...models.map(({ file }) => file)]
      writer = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(writer.stdout!, 'data')

      const seen = { loaded: 0, refused: 0 }
      for (const end = performance.now() + 5000; performance.now() < end; ) {
        try {
          using loaded = await loadModel(path)
          const prediction = JSON.stringify(await loaded.predict(image, { topK: 3 }))
          assert.ok(
            models.some(model => model.prediction === prediction),
            'a mixture of two models',
          )
          assert.equal(JSON.stringify(await loaded.predict(image, { topK: 3 })), prediction)
          seen.loaded++
        } catch (error) {
          assert.ok(error instanceof VisionTorchError, String(error))
          assert.ok(['ERR_FILE_READ', 'ERR_CHECKPOINT_CORRUPT'].includes(error.code), error.message)
          seen.refused++
        }
      }
      assert.equal(writer.exitCode, null)
      if (name === 'replaced by renaming') assert.equal(seen.refused, 0)
      else assert.ok(seen.loaded > 0 && seen.refused > 0, JSON.stringify(seen))
    })
  }
})
