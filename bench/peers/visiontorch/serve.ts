// The handler in Node's HTTP server or, with the setup `in process`, as many callers of predict() in one process.
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createHandler, predict, toNodeListener } from '../../../lib/index.js'
import { load } from '../network.js'
import { answer, job, requests } from '../serve.js'

const model = await load()
await model.to('cpu', job.dtype)
const images = await Promise.all(job.photos.map(path => readFile(path)))

if (job.setup === 'in process') {
  const [best] = await predict(model, images[0]!)
  answer({ index: best!.index })
  for await (const callers of requests()) answer(await measure(callers))
} else {
  const server = createServer(toNodeListener(createHandler(model))).listen(0, '127.0.0.1', () => {
    answer({ port: (server.address() as AddressInfo).port })
  })
  process.stdin.resume().on('end', () => process.exit())
}

async function measure(callers: number) {
  const latencies: number[] = []
  const start = performance.now()
  const end = start + 1000 * job.seconds
  let next = 0
  const caller = async () => {
    while (performance.now() < end) {
      const begin = performance.now()
      await predict(model, images[next++ % images.length]!)
      latencies.push(performance.now() - begin)
    }
  }
  await Promise.all(Array.from({ length: callers }, caller))
  const seconds = (performance.now() - start) / 1000
  latencies.sort((a, b) => a - b)
  const percentile = (share: number) => latencies[Math.ceil(share * latencies.length) - 1]!
  return {
    perSecond: latencies.length / seconds,
    mean: latencies.reduce((a, b) => a + b) / latencies.length,
    p50: percentile(0.5),
    p99: percentile(0.99),
  }
}
