import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { runtimeInfo } from 'visiontorch'

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url))
  worker.on('message', info => console.log(JSON.stringify(info)))
} else {
  parentPort.postMessage(runtimeInfo())
}
