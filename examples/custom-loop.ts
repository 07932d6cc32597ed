// Your own loop over the events of a run: it draws the loss in the terminal, and stops as soon as the network is good
// enough.
//
//   npx tsx examples/custom-loop.ts photos --target 0.95
import { parseArgs } from 'node:util'
import { ImageFolder, mobilenetV2, train } from 'visiontorch'

const { values, positionals } = parseArgs({
  options: {
    target: { type: 'string', default: '0.95' },
    epochs: { type: 'string', default: '50' },
    directory: { type: 'string' },
  },
  allowPositionals: true,
})
const data = await ImageFolder.open(positionals[0]!)
using model = await mobilenetV2({ classes: data.classes })
const stop = new AbortController()

const run = train(model, {
  data,
  epochs: Number(values.epochs),
  inputSize: 64,
  augmentation: 'flip',
  signal: stop.signal,
  ...(values.directory && { directory: values.directory }),
})
try {
  for await (const event of run) {
    switch (event.type) {
      case 'start':
        console.log(
          `${event.trainImages} images of ${event.classes.join(', ')}; files go to ${event.directory}`,
        )
        break
      case 'step':
        if (event.step % 10 === 0) console.log('#'.repeat(Math.min(70, Math.round(20 * event.loss))))
        break
      case 'epoch':
        console.log(`epoch ${event.epoch}: ${(100 * event.top1).toFixed(1)}% right`)
        if (event.top1 >= Number(values.target)) stop.abort()
        break
    }
  }
} catch (error) {
  if (!stop.signal.aborted) throw error
  console.log('good enough')
}
