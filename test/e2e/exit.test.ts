import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'

const rounds = 20

/** Runs one of the programs next to ending-tasks.mjs. */
function run(program: string, ...args: string[]) {
  const path = join(import.meta.dirname, '../support', program)
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [path, ...args], {
    encoding: 'utf8',
    timeout: 240_000,
  })
  return { status, signal, stdout, stderr }
}

describe('a thread that ends while the addon works', function () {
  this.timeout(300_000)
  let folder: string
  let endings: ReturnType<typeof run>
  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    const photo = { width: 500, height: 375, channels: 3 as const, background: '#a02010' }
    await sharp({ create: photo }).jpeg().toFile(join(folder, 'photo.jpg'))
    endings = run('worker-endings.mjs', folder, String(rounds))
  })
  after(removeTemporaryFolders)

  it('does not end the process if it is a worker', () => {
    assert.deepEqual(
      { status: endings.status, signal: endings.signal, stderr: endings.stderr },
      { status: 0, signal: null, stderr: '' },
      endings.stdout,
    )
  })

  it('is tested with every entry point that returns a promise, and with each way to end', async () => {
    const contract = await readFile('lib/native/native.ts', 'utf8')
    const promising = [...contract.matchAll(/^ {2}(\w+)\([^;]*?\): (Promise<|\w)/gm)]
      .filter(([, , result]) => result === 'Promise<')
      .map(([, name]) => name!)
    const names = [...new Set(promising)]
    assert.ok(names.length >= 20, names.join())
    for (const name of names) assert.deepEqual(triedWith('terminate()', name), [name])
    for (const way of ['process.exit()', 'an uncaught error'])
      assert.deepEqual(triedWith(way, names[0]!).sort(), [...names].sort())
  })

  /** Returns the entry points that were running when workers ended in this way. */
  function triedWith(way: string, name: string): string[] {
    const start = `${rounds} workers ended by ${way}: `
    const lines = endings.stdout.split('\n').filter(line => line.startsWith(start))
    return lines.map(line => line.slice(start.length).split(', ')).find(tried => tried.includes(name)) ?? []
  }

  it('ends the process cleanly if it is the main thread', () => {
    for (let round = 0; round < rounds; round++) {
      const { status, signal, stderr } = run('process-ending.mjs', folder, String(2 * round))
      assert.deepEqual({ status, signal, stderr }, { status: 3, signal: null, stderr: '' }, `round ${round}`)
    }
  })
})
