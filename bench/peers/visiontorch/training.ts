import { load, trainingStep } from '../network.js'
import { job, serve } from '../serve.js'

const model = await load()
const { multiplyAdds } = model.summary(job.size)
await serve(await trainingStep(model), { facts: { multiplyAdds } })
