import { native } from '../../../lib/native/native.js'
import { load, trainingStep } from '../network.js'
import { job, serve } from '../serve.js'

// The peers would draw different numbers.
const random = ['dropout', 'stochasticDepthProb', 'attentionDropout', 'mlpDropout'] as const
const family = native()
  .families()
  .find(({ architectures }) => architectures.includes(job.network))!
const model = await load(
  Object.fromEntries(random.filter(name => family.options.includes(name)).map(name => [name, 0])),
)
const { multiplyAdds } = model.summary(job.size)
await model.to(job.device)
await serve(await trainingStep(model), { facts: { multiplyAdds } })
