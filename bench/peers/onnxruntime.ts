// ONNX Runtime's side of the benchmark: see eager.py for the protocol. It lies in the cache, not in node_modules.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Job } from '../job.js'
import { serve } from './serve.js'

const job = JSON.parse(process.argv[2]!) as Job
const ort = createRequire(join(job.folder, 'ort/'))('onnxruntime-node')
const session = await ort.InferenceSession.create(join(job.folder, `${job.network}.onnx`), {
  intraOpNumThreads: job.threads,
  interOpNumThreads: 1,
})
const values = readFileSync(job.images).subarray(0, job.batch * 3 * 224 * 224 * 4)
const images = new ort.Tensor(
  'float32',
  new Float32Array(values.buffer, values.byteOffset, values.length / 4),
  [job.batch, 3, 224, 224],
)
await serve(async () => (await session.run({ images })).logits.data)
