// visiontorch's side of the benchmark: see eager.py for the protocol. It runs on dist/, as users do.
import { readFileSync } from 'node:fs'
import type { Job } from '../job.js'
import { answer, peak, serve } from './serve.js'

const job = JSON.parse(process.argv[2]!) as Job
const { createModel, setThreads } = await import('../../lib/index.js')
const { native } = await import('../../lib/native.js')
setThreads(job.threads)

const start = performance.now()
const model = await createModel(job.network, { weights: job.weights })
const loaded = performance.now() - start
if (job.work === 'loading') {
  answer({ time: loaded, peak: peak() })
} else if (job.work === 'start') {
  const [best] = await model.predict(job.image)
  answer({ index: best!.index })
} else {
  const batch = model.createBatch(job.batch)
  const values = readFileSync(job.images).subarray(0, job.batch * 3 * 224 * 224 * 4)
  batch.setTensor(new Float32Array(values.buffer, values.byteOffset, values.length / 4))
  if (job.work === 'training') {
    const trainer = await native().createTrainer(model.network, {
      optimizer: { name: 'sgd', momentum: 0.9, dampening: 0, nesterov: false, weightDecay: 0 },
      labelSmoothing: 0,
      classWeights: null,
      clipGradNorm: null,
      ema: null,
      dtype: job.dtype,
    })
    const labels = Int32Array.from({ length: job.batch }, (_, i) => i)
    const options = { learningRate: 0.01, seed: 0, scale: 1, update: true, mixed: null }
    await serve(async () => [(await trainer.step(batch, labels, options)).loss])
  } else {
    await model.to('cpu', job.dtype)
    await serve(() => model.network.forward(batch, job.batch, 'logits'))
  }
}
