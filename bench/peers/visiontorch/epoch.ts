// Measures the first and the second epoch, in ms, on a folder of photographs.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createModel, ImageFolder, train } from '../../../lib/index.js'
import { trainingStep } from '../network.js'
import { answer, job, peak } from '../serve.js'

const data = await ImageFolder.open(job.data)
const images = data.split('train').length
const model = await createModel(job.network, { classes: data.classes })

async function fromFiles(): Promise<number[]> {
  const directory = await mkdtemp(join(tmpdir(), 'visiontorch-bench-'))
  const { history } = await train(model, {
    data,
    epochs: 2,
    batchSize: job.batch,
    dtype: job.dtype === 'bfloat16' ? 'bfloat16' : 'float32',
    cache: job.setup === 'cache' ? 'memory' : 'none',
    report: false,
    directory,
  })
  await rm(directory, { recursive: true })
  return history.map(({ imagesPerSecond }) => (1000 * images) / imagesPerSecond)
}

async function fromMemory(): Promise<number[]> {
  const step = await trainingStep(model)
  const times = []
  for (let epoch = 0; epoch < 2; epoch++) {
    const start = performance.now()
    for (let i = 0; i < images / job.batch; i++) await step()
    times.push(performance.now() - start)
  }
  return times
}

answer({ times: await (job.setup === 'memory' ? fromMemory() : fromFiles()), peak: peak() })
