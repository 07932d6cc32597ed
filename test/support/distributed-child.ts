// One rank of a job, for test/e2e/distributed.test.ts: trains each of the runs, and prints one line of JSON per run.
import {
  type CreateModelOptions,
  createModel,
  setThreads,
  type TrainOptions,
  train,
} from '../../lib/index.js'
import { smallNetwork } from './small-network.js'

const small = {
  small: {},
  'without dropout': { dropout: 0 },
  /** Its last batch norms see one value per channel of an image of 32 pixels. */
  deep: {
    dropout: 0,
    invertedResidualSetting: [[1, 16, 1, 1], ...[2, 2, 2, 2].map(stride => [2, 24, 1, stride])],
  },
} satisfies Record<string, CreateModelOptions>

export interface Run {
  network: keyof typeof small | 'squeezenet1_1'
  options: Omit<TrainOptions, 'signal'>
  /** A signal that is sent to the process after so many steps, and then so many milliseconds. */
  signal?: { name: NodeJS.Signals | 'sleep'; step: number; delay?: number }
}

export const createNetwork = (network: Run['network']) =>
  network !== 'squeezenet1_1'
    ? smallNetwork(small[network])
    : createModel('squeezenet1_1', { classes: ['checks', 'columns', 'rows'], seed: 1 })

if (process.argv[1]?.endsWith('distributed-child.ts')) {
  setThreads(1)
  for (const { network, options, signal } of JSON.parse(process.argv[2]!) as Run[]) {
    const controller = new AbortController()
    let steps = 0
    try {
      const model = await createNetwork(network)
      const run = train(model, { ...options, inputSize: 32, signal: controller.signal })
      for await (const event of run) {
        if (event.type !== 'step' || ++steps !== signal?.step) continue
        if (signal.name === 'SIGTERM') controller.abort()
        else if (signal.name === 'sleep') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 12_000)
        else setTimeout(() => process.kill(process.pid, signal.name), signal.delay)
      }
      console.log(JSON.stringify({ result: await run, steps }))
    } catch (error) {
      const { code, name, message } = error as Error & { code?: string }
      console.log(JSON.stringify({ code, name, message, steps }))
    }
  }
  process.exit()
}
