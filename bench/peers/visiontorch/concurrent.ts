// Alternates between one concurrent call per photograph, and a single call for all.
import { decode } from '../../../lib/image/decode.js'
import type { Prediction } from '../../../lib/index.js'
import { load } from '../network.js'
import { answer, job, requests } from '../serve.js'

const model = await load()
await model.to('cpu', job.dtype)
const inputs = job.task === 'files' ? job.photos : await Promise.all(job.photos.map(path => decode(path)))

async function calls() {
  const begin = performance.now()
  const latencies: number[] = []
  const call = async (input: (typeof inputs)[number]) => {
    const predictions = await model.predict(input)
    latencies.push(performance.now() - begin)
    return predictions
  }
  const predictions = await Promise.all(inputs.map(call))
  return { time: performance.now() - begin, latencies, predictions }
}

async function array() {
  const begin = performance.now()
  const predictions = await model.predict(inputs)
  return { time: performance.now() - begin, predictions }
}

const best = (predictions: Prediction[][]) => predictions.map(([first]) => first!.score)

answer({})
for await (const count of requests()) {
  const rounds = []
  for (let i = 0; i < count; i++) rounds.push({ calls: await calls(), array: await array() })
  answer({
    calls: rounds.map(({ calls }) => calls.time),
    array: rounds.map(({ array }) => array.time),
    latencies: rounds.flatMap(({ calls }) => calls.latencies),
    scores: [best(rounds[0]!.calls.predictions), best(rounds[0]!.array.predictions)],
  })
}
