import { loadWithoutDropout, trainingStep } from '../network.js'
import { job, serve } from '../serve.js'

const model = await loadWithoutDropout()
const { multiplyAdds } = model.summary(job.size)
await model.to(job.device)
await serve(await trainingStep(model), { facts: { multiplyAdds } })
