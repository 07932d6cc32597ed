import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { TrainingEvent, TrainingResult } from '../../../lib/train/events.js'
import { TrainingRun } from '../../../lib/train/run.js'

const warning = (message: string): TrainingEvent => ({ type: 'warning', message })
const result = { reason: 'completed', directory: '.', history: [], seconds: 0 } as unknown as TrainingResult

async function messages(run: TrainingRun): Promise<string[]> {
  const seen: string[] = []
  for await (const event of run) if (event.type === 'warning') seen.push(event.message)
  return seen
}

describe('a training run', () => {
  it('can be awaited', async () => {
    assert.equal(await new TrainingRun(async () => result), result)
  })

  it('gives every listener all events, even slow ones', async () => {
    const run = new TrainingRun(async emit => {
      emit(warning('a'))
      await null
      emit(warning('b'))
      emit(warning('c'))
      return result
    })
    const slow: string[] = []
    const reading = (async () => {
      for await (const event of run) {
        await new Promise(resolve => setTimeout(resolve, 2))
        if (event.type === 'warning') slow.push(event.message)
      }
    })()
    assert.deepEqual(await messages(run), ['a', 'b', 'c'])
    await reading
    assert.deepEqual(slow, ['a', 'b', 'c'])
    assert.equal(await run, result)
  })

  it('throws both when it is awaited and when it is iterated', async () => {
    const run = new TrainingRun(async emit => {
      emit(warning('a'))
      throw new Error('disk on fire')
    })
    const seen: string[] = []
    await assert.rejects(async () => {
      for await (const event of run) if (event.type === 'warning') seen.push(event.message)
    }, /disk on fire/)
    assert.deepEqual(seen, ['a'])
    await assert.rejects(Promise.resolve(run), /disk on fire/)
  })

  it('continues when a listener leaves early', async () => {
    const run = new TrainingRun(async emit => {
      emit(warning('a'))
      await null
      emit(warning('b'))
      return result
    })
    for await (const _ of run) break
    assert.equal(await run, result)
  })

  it('does not hide a failure that nobody listens to', async () => {
    const listeners = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection')
    try {
      const unhandled = once(process, 'unhandledRejection')
      new TrainingRun(async () => {
        throw new Error('nobody knows')
      })
      assert.match(String((await unhandled)[0]), /nobody knows/)
    } finally {
      for (const listener of listeners) process.on('unhandledRejection', listener)
    }
  })
})
