import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { diskCache } from '../../lib/data/cache.js'
import { loadModel, readCheckpoint, runtimeInfo, type TensorData } from '../../lib/index.js'
import { replaceFile } from '../../lib/util/files.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'

const hidden = (directory: string) => readdirSync(directory).filter(name => name.startsWith('.'))

/** Starts a program, waits for its first line and then for up to `longest` ms, and kills it. */
async function killAtRandom(
  program: string,
  args: readonly string[],
  longest: number,
  env = {},
): Promise<void> {
  const child = spawn(process.execPath, ['--import', 'tsx', program, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  const ended = once(child, 'exit').then(() => assert.fail(`${program} ended before it could be killed`))
  await Promise.race([once(child.stdout!, 'data'), ended])
  ended.catch(() => {})
  child.stdout!.resume()
  await sleep(Math.random() * longest)
  child.kill('SIGKILL')
  if (child.signalCode === null && child.exitCode === null) await once(child, 'exit')
}

describe('a process that is killed while it writes', function () {
  this.timeout(120_000)
  after(removeTemporaryFolders)

  it('leaves every file with either its old or its new content, and the next write removes temporary files', async () => {
    const directory = await temporaryFolder()
    const cache = join(directory, 'cache')
    let leftovers = 0
    for (let kill = 0; kill < 10; kill++) {
      await killAtRandom('test/support/kill-child.ts', [directory], 300)
      leftovers += hidden(directory).length
      const files = readdirSync(directory)
      if (files.includes('metrics.csv'))
        assert.match(readFileSync(join(directory, 'metrics.csv'), 'utf8'), /^(0{1000}|1{501000})\n$/)
      if (files.includes('tensor.pth')) {
        const { data } = (await readCheckpoint(join(directory, 'tensor.pth'), { verify: true })) as TensorData
        assert.ok(data.length === 1000 || data.length === 501_000)
        assert.ok(data.every(value => value === data[0]))
      }
      if (files.includes('model.pth')) (await loadModel(join(directory, 'model.pth'))).dispose()
      for (const name of existsSync(cache) ? readdirSync(cache) : []) {
        if (!name.startsWith('.')) assert.equal(readFileSync(join(cache, name)).length, 3_000_012)
      }
    }
    assert.ok(leftovers > 0, 'no kill fell into a write')
    await replaceFile(join(directory, 'metrics.csv'), '')
    await diskCache(
      async () => ({ data: new Uint8Array(3), width: 1, height: 1, channels: 3 }),
      cache,
    )({ path: 'new.png', label: 0 })
    assert.deepEqual([hidden(directory), hidden(cache)], [[], []])
  })

  it('leaves a run that can be resumed, with every file intact', async () => {
    const root = await temporaryFolder()
    const run = join(root, 'run')
    const libtorch = dirname(dirname(runtimeInfo().libtorchPath))
    await drawPhotos(join(root, 'photos'))
    const start = [join(root, 'photos'), run, '1000', 'report']
    for (let kill = 0; kill < 8; kill++) {
      await killAtRandom('test/support/train-child.ts', start, 1500, {
        XDG_CACHE_HOME: root,
        VISIONTORCH_LIBTORCH: libtorch,
      })
      const files = readdirSync(run)
      for (const name of files) {
        const path = join(run, name)
        if (name.startsWith('.')) continue
        if (name.endsWith('.pth')) await readCheckpoint(path, { verify: true })
        if (name === 'config.json') JSON.parse(readFileSync(path, 'utf8'))
        if (name === 'metrics.csv') assert.match(readFileSync(path, 'utf8'), /^epoch,.*\n([^\n]+\n)*$/)
        if (name === 'metrics.jsonl')
          for (const line of readFileSync(path, 'utf8').trim().split('\n')) JSON.parse(line)
        if (name === 'report.html') assert.match(readFileSync(path, 'utf8'), /<\/html>\s*$/)
      }
    }
    const { epoch } = JSON.parse(readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n').at(-1)!)
    assert.ok(epoch > 0, 'no run came as far as the end of an epoch')
    const last = spawn(
      process.execPath,
      ['--import', 'tsx', 'test/support/train-child.ts', start[0]!, run, String(epoch + 1)],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    )
    assert.deepEqual(await once(last, 'exit'), [0, null])
    assert.deepEqual(hidden(run), [])
  })
})
