// Rank 0 of two processes, which answers, and starts rank 1. Both train on the same images, so that losses can be compared.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { withGroup } from '../../../lib/distributed/group.js'
import { setThreads } from '../../../lib/index.js'
import { native } from '../../../lib/native/native.js'
import { loadWithoutDropout, noiseBatch, sgd } from '../network.js'
import { job, readNoise, serve } from '../serve.js'

const LEARNING_RATE = 0.01
const model = await loadWithoutDropout()

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

if (job.setup === 'one') {
  // The images of both ranks in one batch, on the threads of both.
  setThreads(2 * job.threads)
  const trainer = await native().createTrainer(model.network, sgd())
  const images = readNoise()
  const batch = noiseBatch(
    model,
    Float32Array.from({ length: 2 * images.length }, (_, i) => images[i % images.length]!),
  )
  const labels = Int32Array.from({ length: 2 * job.batch }, (_, i) => i % job.batch)
  await serve(async () => {
    const step = { learningRate: LEARNING_RATE, seed: 0, scale: 1, update: true, mixed: null }
    return [(await trainer.step(batch, labels, step)).loss]
  })
} else {
  const rank = Number(process.env.RANK ?? 0)
  const masterPort = rank === 0 ? await freePort() : Number(process.env.MASTER_PORT)
  if (rank === 0) {
    const env = { ...process.env, RANK: '1', MASTER_PORT: String(masterPort) }
    spawn(process.execPath, process.argv.slice(1), { env, stdio: ['ignore', 'ignore', 'inherit'] })
  }
  await withGroup({ rank, worldSize: 2, masterPort, timeout: 60 }, async group => {
    const trainer = await native().createTrainer(model.network, sgd())
    const batch = noiseBatch(model)
    const labels = Int32Array.from({ length: job.batch }, (_, i) => i)
    const shares = job.setup !== 'apart'
    if (shares) await trainer.join(group.native!)
    const step = {
      learningRate: LEARNING_RATE,
      seed: 0,
      scale: shares ? 0.5 : 1,
      update: !shares,
      last: true,
      mixed: null,
    }
    const work = async () => {
      // Without gradients of its own, an update exchanges those of all parameters; and NaN leaves them as they are.
      if (job.task === 'exchange') await trainer.update(LEARNING_RATE, Float64Array.of(Number.NaN))
      if (job.task === 'exchange') return []
      const { loss } = await trainer.step(batch, labels, step)
      if (shares) await trainer.update(LEARNING_RATE, new Float64Array(1))
      // Waits for the slower rank, as an exchange does.
      else await group.stopIfAborted(undefined)
      return [loss]
    }
    const goOn = (value: boolean) => group.broadcast(() => value)
    if (rank === 1) while (await goOn(true)) await work()
    else {
      await serve(async () => {
        await goOn(true)
        return work()
      })
      await goOn(false)
    }
  })
}
