import { load, noiseBatch } from '../network.js'
import { answer, peak } from '../serve.js'

const before = peak() // LibTorch is loaded
const start = performance.now()
const model = await load()
const loaded = { time: performance.now() - start, rise: peak() - before }
const [index] = await model.network
  .forward(noiseBatch(model), 1, 'logits')
  .then(logits => [logits.indexOf(Math.max(...logits))])
answer({ loaded, used: { time: performance.now() - start, rise: peak() - before }, index })
