// Tests of the public types. `npm run check:ts` compiles them, and test/e2e/install.test.ts compiles them against the
// package's own declarations. Nothing here runs.
import { expectTypeOf } from 'expect-type'
import {
  type Architecture,
  createModel,
  type Evaluation,
  evaluate,
  ImageFolder,
  type LoadReport,
  listArchitectures,
  loadModel,
  type Model,
  type Prediction,
  type Preprocessing,
  predict,
  predictEach,
  resnet50,
  runtimeInfo,
  type TensorData,
  type TrainingEvent,
  type TrainingResult,
  type TrainingRun,
  type TrainOptions,
  train,
  VisionTorchError,
} from 'visiontorch'

const model = await resnet50({ weights: 'IMAGENET1K_V1' })
expectTypeOf(model).toEqualTypeOf<Model>()
expectTypeOf(await loadModel('best.pth')).toEqualTypeOf<Model>()
expectTypeOf(listArchitectures()).toEqualTypeOf<Architecture[]>()

// Weights are official ones, a path or address, or null.
await createModel('resnet50', { weights: 'checkpoints/mine.pth', classes: ['cat', 'dog'] })
await createModel('mobilenet_v2', { weights: new URL('https://example.org/a.pth'), numClasses: 3 })
await createModel('vgg16', { weights: null, seed: 1, device: 'cuda:1', dtype: 'bfloat16' })
// @ts-expect-error: there is no such network
await createModel('resnet51')
// @ts-expect-error: there is no such device
await createModel('resnet50', { device: 'gpu' })
// @ts-expect-error: options that are misspelt are refused
await createModel('resnet50', { weight: 'DEFAULT' })

// One input returns its predictions, and an array those of each image.
expectTypeOf(await predict(model, 'cat.jpg')).toEqualTypeOf<Prediction[]>()
expectTypeOf(await predict(model, ['cat.jpg', Buffer.of()])).toEqualTypeOf<Prediction[][]>()
await predict(model, { data: new Uint8Array(12), width: 2, height: 2, channels: 3 }, { topK: 1 })
// @ts-expect-error: a number is not an image
await predict(model, 5)
const files: string[] = []
for await (const { input, predictions, error } of predictEach(model, files)) {
  expectTypeOf(input).toEqualTypeOf<string>()
  if (error === undefined) expectTypeOf(predictions).toEqualTypeOf<Prediction[]>()
  else expectTypeOf(error).toEqualTypeOf<VisionTorchError>()
}

// A run is awaited, iterated, or both.
const run = train(model, {
  data: 'photos',
  epochs: 2,
  optimizer: 'adamw',
  schedule: 'step',
  augmentation: 'none',
  signal: AbortSignal.timeout(1000),
})
expectTypeOf(run).toEqualTypeOf<TrainingRun>()
expectTypeOf(await run).toEqualTypeOf<TrainingResult>()
for await (const event of run) {
  expectTypeOf(event).toEqualTypeOf<TrainingEvent>()
  if (event.type === 'epoch') expectTypeOf(event.top1).toEqualTypeOf<number>()
  // @ts-expect-error: only an epoch's event has its figures
  event.top1
}
train(model, {
  data: 'photos',
  preset: 'classification-pytorch',
  classWeights: [1, 2] as const,
  resize: null,
})
train(model, {
  data: 'photos',
  optimizer: { name: 'sgd', nesterov: true },
  schedule: { name: 'step', gamma: 0.5 },
})
expectTypeOf<TrainOptions['epochs']>().toEqualTypeOf<number | undefined>()
expectTypeOf<TrainOptions['cache']>().toEqualTypeOf<'none' | 'memory' | 'disk' | undefined>()
expectTypeOf<TrainOptions['resume']>().toEqualTypeOf<boolean | string | undefined>()
// @ts-expect-error: an option that is misspelled
train(model, { data: 'photos', epocs: 3 })
// @ts-expect-error: Adam has no momentum
train(model, { data: 'photos', optimizer: { name: 'adam', momentum: 0.9 } })
// @ts-expect-error: there is no such optimizer
train(model, { data: 'photos', optimizer: 'lion' })

expectTypeOf(await evaluate(model, 'photos', { split: 'val' })).toEqualTypeOf<Evaluation>()
await evaluate(model, await ImageFolder.open('photos'))

expectTypeOf(model.classes).toEqualTypeOf<readonly string[]>()
expectTypeOf(model.preprocessing).toEqualTypeOf<Readonly<Preprocessing>>()
expectTypeOf(await model.loadStateDict('a.pth', { strict: false })).toEqualTypeOf<LoadReport>()
expectTypeOf(await model.stateDict()).toEqualTypeOf<Map<string, TensorData>>()
// @ts-expect-error: a model's network does not change
model.architecture = 'vgg16'
{
  using disposed = await resnet50()
  expectTypeOf(disposed).toEqualTypeOf<Model>()
}

try {
  expectTypeOf(runtimeInfo().libtorchVersion).toEqualTypeOf<string>()
} catch (error) {
  if (error instanceof VisionTorchError && error.code === 'ERR_LIBTORCH_NOT_FOUND')
    console.error(error.message)
  // @ts-expect-error: there is no such code
  if (error instanceof VisionTorchError && error.code === 'ERR_OTHER') console.error(error.message)
}
