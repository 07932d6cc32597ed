// The package is in the cache, not in node_modules.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { job, readNoise, serve } from '../serve.js'

const ort = createRequire(join(job.folder, 'ort/'))('onnxruntime-node')
const session = await ort.InferenceSession.create(join(job.folder, `${job.network}.onnx`), {
  intraOpNumThreads: job.threads,
  interOpNumThreads: 1,
})
const images = new ort.Tensor('float32', readNoise(), [job.batch, 3, job.size, job.size])
await serve(async () => (await session.run({ images })).logits.data)
