// Stops a training run (as Ctrl-C, a deadline or a power cut would) and resumes it. The final weights are exactly those
// of a run that was never stopped.
//
//   npx tsx examples/resume.ts photos runs/resumed
import { join } from 'node:path'
import { ImageFolder, loadModel, mobilenetV2, type TrainOptions, train } from 'visiontorch'

const [root, directory] = process.argv.slice(2) as [string, string]
const data = await ImageFolder.open(root)
const options: TrainOptions = { data, directory, epochs: 4, inputSize: 64, batchSize: 16 }

const stop = new AbortController()
const first = train(await mobilenetV2({ classes: data.classes }), { ...options, signal: stop.signal })
try {
  for await (const event of first) {
    if (event.type === 'step' && event.epoch === 2) stop.abort() // in the middle of the second epoch
  }
} catch (error) {
  if (!stop.signal.aborted) throw error
  console.log('stopped; last.pth holds weights, optimizer and position')
}

const last = await loadModel(join(directory, 'last.pth'))
const { history } = await train(last, { ...options, resume: true })
console.log(`done: ${history.length} epochs`)
