import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { freePort } from '../../support/port.js'

interface Outcome {
  result?: unknown
  code?: string
  name?: string
  message: string
  seconds: number
}

describe('a group of processes', function () {
  this.timeout(120_000)
  const children: ChildProcess[] = []
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })
  after(removeTemporaryFolders)

  const start = (scenario: string, settings: object, argument = ''): Promise<Outcome | null> => {
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', 'test/support/group-child.ts', scenario, JSON.stringify(settings), argument],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    )
    children.push(child)
    return text(child.stdout!).then(output => (output === '' ? null : JSON.parse(output)))
  }
  /** Returns the outcome of a scenario on each rank; null for a killed rank. */
  const play = async (
    scenario: string,
    { size = 2, timeout = 60, argument = '' } = {},
  ): Promise<(Outcome | null)[]> => {
    const masterPort = await freePort()
    return Promise.all(
      Array.from({ length: size }, (_, rank) =>
        start(scenario, { rank, worldSize: size, masterPort, timeout }, argument),
      ),
    )
  }

  it('exchanges bytes, values and sums', async () => {
    for (const outcome of await play('operations', { size: 3 }))
      assert.deepEqual(outcome?.result, {
        first: { from: 0 },
        ranks: [{ rank: 0 }, { rank: 1 }, { rank: 2 }],
        sizes: [0, 100_000, 200_000],
        same: true,
        sum: [1.5, null],
      })
  })

  it('returns the results of shared work in order, even if it does not divide evenly', async () => {
    for (const outcome of await play('rounds', { size: 3 }))
      assert.deepEqual(outcome?.result, [0, 10, 20, 30, 40, 50, 60])
  })

  it('stops together if one process is asked to', async () => {
    for (const outcome of await play('stop')) assert.equal(outcome?.name, 'AbortError')
  })

  it('copies a file from rank 0', async () => {
    const path = join(await temporaryFolder(), 'file')
    const content = Buffer.from(Uint8Array.from({ length: 20_000_000 }, (_, i) => i % 251))
    await writeFile(path, content)
    const [, second] = await play('share', { argument: path })
    assert.equal(second?.result, `${path}-1`)
    assert.ok(content.equals(await readFile(`${path}-1`)))
  })

  for (const rank of [0, 1]) {
    it(`says why rank ${rank} failed`, async () => {
      const outcomes = await play('throw', { argument: String(rank) })
      assert.equal(outcomes[rank]?.message, 'the disk is\nfull')
      assert.equal(outcomes[1 - rank]?.code, 'ERR_DISTRIBUTED')
      assert.match(outcomes[1 - rank]!.message, new RegExp(`^rank ${rank} failed: the disk is.*full$`))
    })

    it(`names rank ${rank} if it was killed`, async () => {
      const outcomes = await play('die', { argument: String(rank), size: 3 })
      assert.equal(outcomes[rank], null)
      for (const outcome of outcomes.toSpliced(rank, 1)) {
        assert.equal(outcome?.code, 'ERR_DISTRIBUTED')
        assert.match(outcome.message, new RegExp(`^rank ${rank} .*ended without a message`))
      }
    })
  }

  it('joins the next job at once after a failure, on the same port', async () => {
    for (const outcome of await play('again', { size: 3 }))
      assert.deepEqual(outcome?.message ?? outcome?.result, [0, 1, 2])
  })

  it('does not take the store of the job before for that of its own', async () => {
    const place = { worldSize: 2, masterPort: await freePort(), timeout: 60 }
    // Rank 0 of the first job still serves its store when rank 1 of the second comes.
    const [before] = [
      start('die', { ...place, rank: 0 }, '1'),
      await start('die', { ...place, rank: 1 }, '1'),
    ]
    const second = start('sum', { ...place, rank: 1 })
    assert.match((await before)!.message, /^rank 1 .*ended without a message/)
    const first = start('sum', { ...place, rank: 0 })
    for (const outcome of [await first, await second])
      assert.deepEqual(outcome?.message ?? outcome?.result, [2])
  })

  it('names a rank that hangs, once the timeout is over', async () => {
    const outcomes = await play('hang', { size: 3, timeout: 4, argument: '2' })
    for (const outcome of outcomes.slice(0, 2)) {
      assert.equal(outcome?.code, 'ERR_DISTRIBUTED')
      assert.match(outcome.message, /^rank 2 .*did not answer within 4 s/)
      assert.ok(outcome.seconds < 60)
    }
  })

  it('names a rank of another version', async () => {
    for (const outcome of await play('agree', { size: 3 })) {
      assert.equal(outcome?.code, 'ERR_DISTRIBUTED')
      assert.match(outcome.message, /rank 1 differs from rank 0 in version: 9\.9\.9, but rank 0 has 1\.0\.0/)
    }
  })

  it('names the ranks that never come', async () => {
    const masterPort = await freePort()
    const outcome = await start('join', { rank: 0, worldSize: 3, masterPort, timeout: 2 })
    assert.equal(outcome?.code, 'ERR_DISTRIBUTED')
    assert.match(outcome.message, /^ranks 1, 2 of 3 did not join within 2 s/)
  })

  it('says where it looked for rank 0', async () => {
    const masterPort = await freePort()
    const outcome = await start('join', { rank: 1, worldSize: 2, masterPort, timeout: 2 })
    assert.equal(outcome?.code, 'ERR_DISTRIBUTED')
    assert.match(
      outcome.message,
      new RegExp(`^rank 1 did not reach rank 0 at 127.0.0.1:${masterPort} within 2 s`),
    )
  })

  it('says that its port is in use', async () => {
    const server = createServer().listen(0)
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const outcome = await start('join', { rank: 0, worldSize: 2, masterPort: port, timeout: 2 })
    server.close()
    assert.equal(outcome?.code, 'ERR_DISTRIBUTED')
    assert.match(outcome.message, new RegExp(`^rank 0: port ${port} is in use`))
  })
})
