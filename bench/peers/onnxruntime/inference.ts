import { job, readNoise, serve } from '../serve.js'
import { openSession, ort } from './session.js'

const session = await openSession()
const images = new ort.Tensor('float32', readNoise(), [job.batch, 3, job.size, job.size])
const [input] = session.inputNames
await serve(async () => (await session.run({ [input]: images })).logits.data)
