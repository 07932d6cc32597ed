import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { createModel, predict, train } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { onOneThread, smallNetwork } from '../support/small-network.js'

/** A thread whose event loop has nothing to do. It answers each message with the p99 of its delays so far, in ms. */
const idleThread = `
  const { parentPort } = require('node:worker_threads')
  const delay = require('node:perf_hooks').monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  parentPort.on('message', () => parentPort.postMessage(delay.percentile(99) / 1e6))
`

describe('a process that trains', () => {
  onOneThread()
  let root: string
  let photos: string
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos)
  })
  after(removeTemporaryFolders)

  it('still serves HTTP, and predicts with the model in training', async () => {
    using model = await createModel('resnet18', { classes: ['checks', 'columns', 'rows'] })
    const server = createServer(async (_, response) => {
      const [best] = await predict(model, join(photos, 'val/rows/0.png'), { topK: 1 })
      response.end(JSON.stringify(best))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

    let training = true
    let answered = 0
    const asking = async () => {
      while (training) {
        const { label } = (await (await fetch(url)).json()) as { label: string }
        assert.ok(model.classes.includes(label))
        answered++
      }
    }
    const run = train(model, {
      data: photos,
      epochs: 3,
      batchSize: 8,
      inputSize: 64,
      directory: join(root, 'run'),
      report: false,
    })
    let asked: Promise<void> | undefined
    let answeredAtStart = 0
    for await (const { type } of run) {
      if (type === 'start') asked = asking()
      if (type === 'end') answeredAtStart = answered
    }
    training = false
    await asked
    server.close()
    server.closeAllConnections()
    assert.ok(answeredAtStart > 0)
  })

  it('leaves the event loop free', async () => {
    using model = await smallNetwork()
    const idle = new Worker(idleThread, { eval: true })
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    await train(model, {
      data: photos,
      epochs: 30,
      batchSize: 4,
      inputSize: 32,
      directory: join(root, 'free'),
      report: false,
    })
    delay.disable()
    const p99 = delay.percentile(99) / 1e6
    idle.postMessage('p99')
    const [idleP99] = (await once(idle, 'message')) as [number]
    await idle.terminate()
    // A busy machine delays the idle loop as well.
    assert.ok(p99 < idleP99 + 20, `the event loop was late by ${p99} ms, an idle one by ${idleP99} ms (p99)`)
  })

  it('does not grow', async function () {
    this.timeout(300_000)
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    using model = await smallNetwork()
    const memory: number[] = []
    const options = {
      data: photos,
      epochs: 200,
      batchSize: 8,
      inputSize: 32,
      directory: join(root, 'long'),
      report: false,
    }
    for await (const event of train(model, options)) {
      if (event.type !== 'epoch') continue
      collectGarbage()
      memory.push(process.memoryUsage.rss() / 2 ** 20)
    }
    assert.equal(memory.length, 200)
    const mean = (from: number, to: number) => memory.slice(from, to).reduce((a, b) => a + b, 0) / (to - from)
    const growth = mean(150, 200) - mean(50, 100)
    // If one batch of 96 KiB per epoch were not released, this would be 9.4 MiB.
    assert.ok(growth < 5, `${growth.toFixed(1)} MiB more in epochs 151 to 200 than in 51 to 100`)
  })
})
