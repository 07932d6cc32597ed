// One rank of a group, for test/unit/distributed/group.test.ts: runs a scenario and prints the outcome as JSON.
import { setTimeout as sleep } from 'node:timers/promises'
import { checkAgreement } from '../../lib/distributed/agreement.js'
import { type Group, withGroup } from '../../lib/distributed/group.js'
import { inRounds, ownShare } from '../../lib/distributed/rounds.js'
import { shareFile } from '../../lib/distributed/share-file.js'

const [scenario, settings, argument = ''] = process.argv.slice(2)

const scenarios: Record<string, (group: Group) => Promise<unknown>> = {
  async operations(group) {
    const large = Uint8Array.from({ length: 100_000 * group.rank }, (_, i) => i)
    const gathered = await group.allGather(large)
    return {
      first: await group.broadcast(() => ({ from: group.rank })),
      ranks: await group.gather({ rank: group.rank }),
      sizes: gathered.map(bytes => bytes.length),
      same: Buffer.from(large).equals(gathered[group.rank]!),
      sum: Array.from(await group.native!.sum(Float64Array.of(0.25 * (group.rank + 1), Number.NaN))),
    }
  },
  async rounds(group) {
    const plan = Array.from({ length: 7 }, (_, i) => i)
    const own = ownShare(group, plan)
    const results: number[] = []
    for await (const bytes of inRounds(group, plan.length, undefined, async () =>
      Uint8Array.of(own.shift()! * 10),
    ))
      results.push(...bytes)
    return results
  },
  async stop(group) {
    const controller = new AbortController()
    if (group.rank === 1) controller.abort()
    await group.stopIfAborted(controller.signal)
  },
  async share(group) {
    const target = `${argument}-${group.rank}`
    await shareFile(group, argument, target)
    return target
  },
  async throw(group) {
    if (group.rank === Number(argument)) throw new Error('the disk is\nfull')
    await group.gather(0)
  },
  async die(group) {
    await group.gather(0)
    if (group.rank === Number(argument)) process.kill(process.pid, 'SIGKILL')
    await group.gather(0)
  },
  async hang(group) {
    if (group.rank === Number(argument)) await sleep(9_000)
    await group.gather(0)
  },
  async join() {},
  async agree(group) {
    await checkAgreement(group, { version: group.rank === 1 ? '9.9.9' : '1.0.0', batchSize: '8' })
  },
  async sum(group) {
    return Array.from(await group.native!.sum(Float64Array.of(1)))
  },
  async again(group) {
    return group.gather(group.rank)
  },
}

const start = performance.now()
if (scenario === 'again')
  await withGroup(JSON.parse(settings!), async group => {
    if (group.rank === 0) throw new Error('once')
    await group.gather(0)
  }).catch(() => {})
try {
  console.log(JSON.stringify({ result: await withGroup(JSON.parse(settings!), scenarios[scenario!]!) }))
} catch (error) {
  const { code, name, message } = error as Error & { code?: string }
  console.log(JSON.stringify({ code, name, message, seconds: (performance.now() - start) / 1000 }))
}
process.exit()
