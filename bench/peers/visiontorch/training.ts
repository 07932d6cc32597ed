import { load, trainingStep } from '../network.js'
import { job, serve } from '../serve.js'

// The peers would draw different numbers.
const model = await load(job.network.startsWith('resnet') ? {} : { dropout: 0 })
const { multiplyAdds } = model.summary(job.size)
await model.to(job.device)
await serve(await trainingStep(model), { facts: { multiplyAdds } })
