// What is in these pictures? The official ImageNet weights (downloaded once, 14 MB) know 1000 classes; a checkpoint of
// your own knows your classes.
//
//   npx tsx examples/predict.ts photo.jpg more/*.jpg
//   npx tsx examples/predict.ts --checkpoint runs/mobilenet_v2-1/best.pth photo.jpg
import { parseArgs } from 'node:util'
import { loadModel, mobilenetV2, predict } from 'visiontorch'

const { values, positionals: files } = parseArgs({
  options: { checkpoint: { type: 'string' } },
  allowPositionals: true,
})

using model = values.checkpoint
  ? await loadModel(values.checkpoint)
  : await mobilenetV2({ weights: 'DEFAULT' })

// For an array of images, predict() returns an array of predictions in the same order, computed in batches.
const predictions = await predict(model, files, { topK: 3 })
for (const [index, best] of predictions.entries()) {
  const shown = best.map(({ label, score }) => `${label} ${(100 * score).toFixed(1)}%`)
  console.log(`${files[index]}: ${shown.join(', ')}`)
}
