import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { freePort } from '../support/port.js'

const fixture: { ranks: number; losses: number[][]; weights: Record<string, number[]> } = JSON.parse(
  readFileSync(new URL('../fixtures/distributed.json', import.meta.url), 'utf8'),
)

describe("ten steps on two processes, against PyTorch's DistributedDataParallel", function () {
  this.timeout(60_000)
  const children: ChildProcess[] = []
  after(() => {
    for (const child of children) child.kill('SIGKILL')
  })

  let ranks: { losses: number[]; weights: Record<string, number[]> }[]
  before(async () => {
    const masterPort = await freePort()
    ranks = await Promise.all(
      fixture.losses.map(async (_, rank) => {
        const settings = JSON.stringify({ rank, worldSize: fixture.ranks, masterPort, timeout: 30 })
        const child = spawn(
          process.execPath,
          ['--import', 'tsx', 'test/support/data-parallel-child.ts', settings],
          { stdio: ['ignore', 'pipe', 'inherit'] },
        )
        children.push(child)
        return JSON.parse(await text(child.stdout!))
      }),
    )
  })

  it('has the same losses on each rank, within 1e-5', () => {
    for (const [rank, losses] of fixture.losses.entries()) {
      for (const [step, expected] of losses.entries()) {
        const loss = ranks[rank]!.losses[step]!
        assert.ok(
          Math.abs(loss - expected) <= 1e-5,
          `rank ${rank}, step ${step}: ${loss}, PyTorch ${expected}`,
        )
      }
    }
  })

  it('has the same parameters and running statistics, within 1e-4', () => {
    for (const { weights } of ranks) {
      assert.deepEqual(Object.keys(weights), Object.keys(fixture.weights))
      for (const [name, expected] of Object.entries(fixture.weights)) {
        for (const [i, value] of expected.entries()) {
          const got = weights[name]![i]!
          assert.ok(Math.abs(got - value) <= 1e-4, `${name}, sample ${i}: ${got}, PyTorch ${value}`)
        }
      }
    }
  })
})
