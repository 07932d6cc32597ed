import { load } from '../network.js'
import { answer, job } from '../serve.js'

const model = await load()
const [best] = await model.predict(job.photo)
answer({ index: best!.index })
