import { load, noiseBatch } from '../network.js'
import { job, serve } from '../serve.js'

const model = await load()
const { multiplyAdds } = model.summary(job.size)
await model.to(job.device, job.setup === 'float32' ? 'float32' : job.dtype)
const batch = noiseBatch(model)
await serve(() => model.network.forward(batch, job.batch, 'logits'), { facts: { multiplyAdds } })
