// One rank of test/parity/distributed.test.ts: makes ten steps on the images of test/reference/training.py, and prints
// the losses and samples of the weights. The second argument says whether batch norms are synchronized.
import { readFileSync } from 'node:fs'
import { withGroup } from '../../lib/distributed/group.js'
import { native } from '../../lib/native/native.js'
import { setThreads } from '../../lib/native/runtime.js'
import { images, labels } from './training-cases.js'

const { batch, learningRate, optimizer, options, ranks, size, steps, stride } = JSON.parse(
  readFileSync(new URL('../fixtures/distributed.json', import.meta.url), 'utf8'),
)
setThreads(1)
await withGroup(JSON.parse(process.argv[2]!), async group => {
  const model = await native().createModel('mobilenet_v2', 4, 11, options)
  const trainer = await native().createTrainer(model, {
    ...{ optimizer, labelSmoothing: 0, classWeights: null, clipGradNorm: null, ema: null, dtype: 'float32' },
    syncBatchNorm: process.argv[3] === 'true',
  })
  await trainer.join(group.native!)
  await trainer.broadcast()
  const batches = new (native().ImageBatch)(batch, size, size, [0, 0, 0], [1, 1, 1])
  const losses: number[] = []
  for (let step = 0; step < steps; step++) {
    const at = step * ranks + group.rank
    batches.setTensor(images(at))
    const seed = 100 + at
    const result = await trainer.step(batches, labels(at), {
      ...{ learningRate, seed, scale: 1 / ranks, update: false, last: true, mixed: null },
    })
    losses.push(result.loss)
    await trainer.update(learningRate, new Float64Array(1))
  }
  await trainer.broadcastBuffers()
  const weights = Object.entries(Object.fromEntries(await model.stateDict())).map(([name, { data }]) => [
    name,
    Array.from(data, Number).filter((_, i) => i % stride === 0),
  ])
  process.stdout.write(JSON.stringify({ losses, weights: Object.fromEntries(weights) }))
})
process.exit()
