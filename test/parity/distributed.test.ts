import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { freePort } from '../support/port.js'

interface Played {
  /** Of each rank and step. */
  losses: number[][]
  /** Samples of rank 0's weights. */
  weights: Record<string, number[]>
}
const fixture: { ranks: number; own: Played; synchronized: Played } = JSON.parse(
  readFileSync(new URL('../fixtures/distributed.json', import.meta.url), 'utf8'),
)

describe("ten steps on two processes, against PyTorch's DistributedDataParallel", function () {
  this.timeout(60_000)
  const children: ChildProcess[] = []
  after(() => {
    for (const child of children) child.kill('SIGKILL')
  })

  const cases: [string, Played, { synchronized: boolean; kernels?: string }][] = [
    ['with batch norms of each process', fixture.own, { synchronized: false }],
    ['with the statistics of SyncBatchNorm', fixture.synchronized, { synchronized: true }],
    [
      'with the statistics of SyncBatchNorm, on a processor without kernels of our own',
      fixture.synchronized,
      { synchronized: true, kernels: 'onednn' },
    ],
  ]
  for (const [title, expected, { synchronized, kernels }] of cases) {
    describe(title, () => {
      let ranks: { losses: number[]; weights: Record<string, number[]> }[]
      before(async () => {
        const masterPort = await freePort()
        ranks = await Promise.all(
          expected.losses.map(async (_, rank) => {
            const settings = JSON.stringify({ rank, worldSize: fixture.ranks, masterPort, timeout: 30 })
            const child = spawn(
              process.execPath,
              [
                ...['--import', 'tsx', 'test/support/data-parallel-child.ts'],
                ...[settings, String(synchronized)],
              ],
              {
                stdio: ['ignore', 'pipe', 'inherit'],
                env: { ...process.env, ...(kernels && { VISIONTORCH_KERNELS: kernels }) },
              },
            )
            children.push(child)
            return JSON.parse(await text(child.stdout!))
          }),
        )
      })

      it('has the same losses on each rank, within 1e-5', () => {
        for (const [rank, losses] of expected.losses.entries()) {
          for (const [step, wanted] of losses.entries()) {
            const loss = ranks[rank]!.losses[step]!
            assert.ok(
              Math.abs(loss - wanted) <= 1e-5,
              `rank ${rank}, step ${step}: ${loss}, PyTorch ${wanted}`,
            )
          }
        }
      })

      it('has the same parameters and running statistics, within 1e-4', () => {
        for (const { weights } of ranks) {
          assert.deepEqual(Object.keys(weights), Object.keys(expected.weights))
          for (const [name, wanted] of Object.entries(expected.weights)) {
            for (const [i, value] of wanted.entries()) {
              const got = weights[name]![i]!
              assert.ok(Math.abs(got - value) <= 1e-4, `${name}, sample ${i}: ${got}, PyTorch ${value}`)
            }
          }
        }
      })
    })
  }
})
