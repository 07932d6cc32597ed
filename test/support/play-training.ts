// Plays the events of an imaginary run to the terminal display, for test/e2e/progress.test.ts and for a look at it.
// Arguments: --quiet, --slow (at the speed of a real run), --early (ends by early stopping), --five (five classes
// instead of six).
import { setTimeout } from 'node:timers/promises'
import { trainingDisplay } from '../../lib/cli/progress.js'
import { setQuiet } from '../../lib/cli/terminal.js'
import { sample } from './report.js'

const [quiet, slow, early, five] = ['--quiet', '--slow', '--early', '--five'].map(flag =>
  process.argv.includes(flag),
)
setQuiet(quiet!)
const { history, best } = sample(6, 4)
const [epochs, steps] = [history.length, 25]
using display = trainingDisplay()
display.show({
  type: 'start',
  directory: 'runs/mobilenet_v2-1',
  architecture: 'mobilenet_v2',
  classes: ['a', 'b', 'c', 'd', 'e', ...(five ? [] : ['f'])],
  device: 'cpu',
  epochs,
  firstEpoch: 1,
  trainImages: 1600,
  validationImages: 400,
  options: {},
})
for (const row of history) {
  for (let step = 1; step <= steps; step++) {
    await setTimeout(slow ? 120 : 5)
    display.show({
      type: 'step',
      epoch: row.epoch,
      epochs,
      step,
      steps,
      loss: row.trainLoss,
      meanLoss: row.trainLoss,
      accuracy: row.trainTop1,
      learningRate: row.learningRate,
      gradNorm: null,
      imagesPerSecond: row.imagesPerSecond,
    })
  }
  await setTimeout(slow ? 800 : 0)
  if (row.epoch === 2) display.show({ type: 'warning', message: 'roses/broken.jpg was left out' })
  display.show({ ...row, type: 'epoch', epochs, isBest: row.epoch !== 3 })
  display.show({ type: 'checkpoint', kind: 'last', path: 'runs/mobilenet_v2-1/last.pth', epoch: row.epoch })
}
display.show({
  type: 'end',
  reason: early ? 'early-stopping' : 'completed',
  directory: 'runs/mobilenet_v2-1',
  best: best!,
  history: [...history],
  seconds: 48,
})
