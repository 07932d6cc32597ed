import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { tensorHashes } from '../support/tensors.js'

const kills = 10
const epochs = 20

describe('a run on all threads that is repeated, or killed and resumed', () => {
  after(removeTemporaryFolders)

  it(`killed ${kills} times at random moments, ends with the same weights`, async function () {
    this.timeout(600_000)
    const root = await temporaryFolder()
    const photos = join(root, 'photos')
    await drawPhotos(photos)
    const start = (name: string) =>
      spawn(
        process.execPath,
        ['--import', 'tsx', 'test/support/train-child.ts', photos, join(root, name), String(epochs)],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      )

    for (const name of ['straight', 'again']) {
      const [code] = await once(start(name), 'exit')
      assert.equal(code, 0)
    }
    for (let i = 0; i < kills; i++) {
      const child = start('killed')
      // Up to an epoch and a half after the start of the run (an epoch has 3 step events and up to 4 others).
      await events(child, 1 + Math.floor(Math.random() * 9))
      await sleep(Math.random() * 30)
      child.kill('SIGKILL')
      const [, signal] = child.exitCode === null ? await once(child, 'exit') : [0, null]
      assert.equal(signal, 'SIGKILL', 'the run was over before it could be killed')
    }
    const [end] = await once(start('killed'), 'exit')
    assert.equal(end, 0)

    for (const name of ['last.pth', 'best.pth', 'epoch-0018.pth']) {
      const [straight, killed] = await Promise.all([
        tensorHashes(join(root, 'straight', name)),
        tensorHashes(join(root, 'killed', name)),
      ])
      assert.ok(straight.length > 30)
      assert.deepEqual(killed, straight, name)
    }
  })
})

/** Waits until the child has reported `count` events after the start. */
async function events(child: ChildProcess, count: number): Promise<void> {
  let seen = -1
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line === 'start') seen = 0
    else if (seen >= 0 && ++seen >= count) break
  }
}
