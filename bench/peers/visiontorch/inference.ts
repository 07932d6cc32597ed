import { load, noiseBatch } from '../network.js'
import { job, serve } from '../serve.js'

const model = await load()
const batch = noiseBatch(model)
const { multiplyAdds } = model.summary(job.size)
await model.to('cpu', job.dtype)
await serve(() => model.network.forward(batch, job.batch, 'logits'), { facts: { multiplyAdds } })
