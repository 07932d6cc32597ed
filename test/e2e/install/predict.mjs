// Predicts an image with a random network, and again in a worker thread. Prints both predictions.
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { mobilenetV2, predict } from 'visiontorch'

const model = await mobilenetV2({ classes: ['blue', 'red'], widthMult: 0.25, seed: 7 })
const predictions = await predict(model, 'image.png')
if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url))
  const inWorker = await new Promise((resolve, reject) => {
    worker.once('message', resolve)
    worker.once('error', reject)
  })
  console.log(JSON.stringify({ predictions, inWorker }))
} else {
  parentPort.postMessage(predictions)
}
