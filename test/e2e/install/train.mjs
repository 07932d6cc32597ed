// Trains a small network for an epoch on data/, saves it, loads it and predicts an image.
import { loadModel, mobilenetV2, predict, train } from 'visiontorch'

const model = await mobilenetV2({ classes: ['blue', 'red'], widthMult: 0.25 })
const { best, directory } = await train(model, {
  data: 'data',
  epochs: 1,
  batchSize: 4,
  inputSize: 32,
  directory: 'run',
})
const trained = await loadModel(`${directory}/best.pth`)
const [first] = await predict(trained, 'data/val/red/0.png', { topK: 1 })
console.log(JSON.stringify({ epoch: best.epoch, top1: best.top1, ...first }))
