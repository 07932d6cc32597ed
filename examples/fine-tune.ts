// Teaches a network that knows ImageNet your own classes: DATA/<class>/*.jpg, or DATA/train/<class> and DATA/val/<class>.
//
//   npx tsx examples/fine-tune.ts photos
//   npx tsx examples/fine-tune.ts photos --weights resnet18.pth --epochs 5
import { parseArgs } from 'node:util'
import { evaluate, ImageFolder, resnet18, train } from 'visiontorch'

const { values, positionals } = parseArgs({
  options: {
    weights: { type: 'string', default: 'DEFAULT' },
    epochs: { type: 'string', default: '15' },
    directory: { type: 'string' },
  },
  allowPositionals: true,
})

const data = await ImageFolder.open(positionals[0]!)
// The weights' 1000 classes are not ours: the backbone is loaded, and the classifier is new.
using model = await resnet18({ weights: values.weights, classes: data.classes })

const epochs = Number(values.epochs)
const run = train(model, {
  data,
  epochs,
  freezeEpochs: Math.floor(epochs / 3), // first the new classifier alone, then everything
  learningRate: 0.005,
  ...(values.directory && { directory: values.directory }),
})
for await (const event of run) {
  if (event.type === 'epoch') console.log(`epoch ${event.epoch}: ${(100 * event.top1).toFixed(1)}% right`)
}
const { directory } = await run

// The model now holds the weights of the best epoch.
const { classes } = await evaluate(model, data)
for (const { label, precision, recall } of classes) {
  console.log(`${label}: precision ${precision.toFixed(2)}, recall ${recall.toFixed(2)}`)
}
console.log(`everything is in ${directory}: see report.html`)
