// A process that trains, resuming the run if there is one, and prints each event as a line, until it is killed.
import { train } from '../../lib/index.js'
import { smallNetwork } from './small-network.js'

const [data, directory, epochs, report] = process.argv.slice(2)
const model = await smallNetwork()
const run = train(model, {
  data: data!,
  directory: directory!,
  resume: true,
  epochs: Number(epochs),
  batchSize: 8,
  inputSize: 32,
  optimizer: 'adam',
  ema: 0.9,
  clipGradNorm: 5,
  freezeEpochs: 2,
  saveEvery: 3,
  report: report !== undefined,
  cache: report === undefined ? 'none' : 'disk',
})
for await (const { type } of run) console.log(type)
