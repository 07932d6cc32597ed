// npm run demo: draws a small set of pictures, trains MobileNetV2 on them from random weights, shows how well it tells
// the classes apart, and predicts pictures that it has never seen. It takes less than three minutes on two cores, and
// downloads nothing.
import { mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { Command } from 'commander'
import { evaluate, ImageFolder, mobilenetV2, predict, train } from 'visiontorch'
import { trainingDisplay } from '../lib/cli/progress.js'
import { formatDuration, print, table } from '../lib/cli/terminal.js'
import { formatShare } from '../lib/util/format.js'
import { shapes, writeShapes } from './support/shapes.js'

const options = new Command('demo')
  .description('draw pictures, train MobileNetV2 on them, and predict pictures that it never saw')
  .option('--pictures <n>', 'pictures of each class to train on', Number, 500)
  .option('--epochs <n>', 'epochs to train', Number, 20)
  .parse()
  .opts<{ pictures: number; epochs: number }>()
const start = performance.now()
const pictures = await mkdtemp(join(tmpdir(), 'visiontorch-demo-'))
print(`drawing pictures of ${shapes.join(', ')} into ${pictures}`)
await writeShapes(pictures, { train: options.pictures, val: 50, heldOut: 2 })

const data = await ImageFolder.open(pictures)
using model = await mobilenetV2({ classes: data.classes, widthMult: 0.5 })
const run = train(model, {
  data,
  epochs: options.epochs,
  batchSize: 32,
  optimizer: 'adamw',
  learningRate: 0.003,
  warmupEpochs: 1,
  augmentation: { scale: null, horizontalFlip: 0.5, verticalFlip: 0.5 },
  inputSize: 64,
  cache: 'memory',
})
{
  using display = trainingDisplay()
  for await (const event of run) display.show(event)
}
const { directory } = await run

const { classes } = await evaluate(model, data)
const figures = classes.map(({ label, precision, recall, support }) => [
  label,
  formatShare(recall),
  formatShare(precision),
  support,
])
print(
  `\nBy class, on the validation pictures:\n${table(['class', 'recall', 'precision', 'pictures'], figures, 'lrrr')}`,
)

const heldOut = join(pictures, 'held-out')
const files = (await readdir(heldOut, { recursive: true })).filter(name => name.endsWith('.jpg')).sort()
const predictions = await predict(
  model,
  files.map(name => join(heldOut, name)),
  { topK: 2 },
)
const rows = predictions.map((best, index) => [
  basename(files[index]!),
  ...best.map(({ label, score }) => `${label} ${formatShare(score)}`),
])
print(`\nPictures that it never saw:\n${table(['picture', 'best', 'second'], rows)}`)

print(`
Done in ${formatDuration((performance.now() - start) / 1000)}. The run's files are in ${directory}:
  report.html    curves, confusion matrix, the worst predictions: open it in a browser
  best.pth       the network: npx visiontorch predict ${join(heldOut, files[0]!)} --checkpoint ${join(directory, 'best.pth')}
  metrics.csv    the figures of every epoch`)
