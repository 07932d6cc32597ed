import { cpus } from 'node:os'
import { Command, Option } from 'commander'
import { formatSize } from '../image/size.js'
import { type Architecture, sizeOption } from '../model/architectures.js'
import { createModel } from '../model/create-model.js'
import type { Model, ModelDType } from '../model/model.js'
import { native } from '../native/native.js'
import { type Device, runtimeInfo, setThreads } from '../native/runtime.js'
import { interruptSignal } from './interrupt.js'
import { modelOption } from './model.js'
import { deviceOption, inputSize, integer, jsonOption, list, number, threadsOption } from './options.js'
import { note, print, printJson, table } from './terminal.js'

interface BenchOptions {
  model: string
  batchSize: number[]
  trainBatchSize: number[]
  inputSize: number | [number, number]
  seconds: number
  device: string
  dtype: string
  threads?: number
  json?: boolean
}

/** The times of one measurement, in milliseconds per batch. */
interface Timing {
  task: 'inference' | 'training step'
  batchSize: number
  runs: number
  median: number
  min: number
  max: number
  imagesPerSecond: number
}

export const benchCommand = (): Command =>
  new Command('bench')
    .description(
      "measure this machine's throughput with random weights and images: reads and decodes no files",
    )
    .addOption(modelOption().default('resnet50'))
    .option(
      '--batch-size <list>',
      'batch sizes for inference, or 0 to skip it',
      list(integer(0, 4096)),
      [1, 32],
    )
    .option(
      '--train-batch-size <list>',
      'batch sizes for training steps (SGD), or 0 to skip them',
      list(integer(0, 4096)),
      [16],
    )
    .option(
      '--input-size <n|HxW>',
      'side of the images in pixels, or their height and width',
      inputSize(32, 4096),
      224,
    )
    .option('--seconds <n>', 'minimum time for each measurement', number(0, 3600), 5)
    .addOption(deviceOption())
    .addOption(
      new Option('--dtype <dtype>', 'number type of the computation')
        .choices(['float32', 'bfloat16'])
        .default('float32'),
    )
    .addOption(threadsOption())
    .addOption(jsonOption())
    .action(runBench)

async function runBench(options: BenchOptions): Promise<void> {
  const signal = interruptSignal()
  if (options.threads !== undefined) setThreads(options.threads)
  const { libtorchVersion, threads, kernels } = runtimeInfo()
  using model = await createModel(options.model as Architecture, {
    device: options.device as Device,
    ...sizeOption(options.model as Architecture, options.inputSize),
  })
  model.preprocessing = { ...model.preprocessing, resize: options.inputSize, crop: options.inputSize }
  const machine = { cpu: cpus()[0]?.model.trim() ?? 'unknown', threads, kernels, libtorchVersion }
  const { device, architecture } = model
  note(
    `${architecture}, ${formatSize(options.inputSize)} pixels, ${options.dtype}, ${device}; ` +
      `${machine.cpu}, ${threads} threads, ${kernels}, LibTorch ${libtorchVersion}`,
  )
  const dtype = options.dtype as Exclude<ModelDType, 'int8'>
  const timings: Timing[] = []
  const measureAll = async (
    task: Timing['task'],
    sizes: number[],
    prepare: (size: number) => Promise<() => Promise<unknown>>,
  ) => {
    for (const size of sizes.filter(size => size > 0)) {
      note(`measuring: ${task}, batch size ${size}`)
      timings.push({
        task,
        batchSize: size,
        ...(await measure(await prepare(size), size, options.seconds, signal)),
      })
    }
  }
  // Training is measured first, because it needs float32 weights.
  await measureAll('training step', options.trainBatchSize, size => trainingStep(model, size, dtype))
  await model.to(device as Device, dtype)
  await measureAll('inference', options.batchSize, size => inference(model, size))

  if (options.json)
    printJson({ model: architecture, inputSize: options.inputSize, dtype, device, ...machine, timings })
  else print(render(timings))
}

async function inference(model: Model, batchSize: number) {
  const batch = randomBatch(model, batchSize)
  return () => model.network.forward(batch, batchSize, 'logits')
}

async function trainingStep(model: Model, batchSize: number, dtype: 'float32' | 'bfloat16') {
  const batch = randomBatch(model, batchSize)
  const labels = Int32Array.from({ length: batchSize }, (_, index) => index % model.numClasses)
  const trainer = await native().createTrainer(model.network, {
    optimizer: { name: 'sgd', momentum: 0.9, dampening: 0, nesterov: false, weightDecay: 1e-4 },
    labelSmoothing: 0,
    classWeights: null,
    clipGradNorm: null,
    ema: null,
    dtype,
  })
  return () =>
    trainer.step(batch, labels, { learningRate: 1e-4, seed: 0, scale: 1, update: true, mixed: null })
}

function randomBatch(model: Model, batchSize: number) {
  const batch = model.createBatch(batchSize)
  const length = batchSize * 3 * batch.height * batch.width
  batch.setTensor(Float32Array.from({ length }, () => 4 * Math.random() - 2))
  return batch
}

/** Measures after two warm-up runs: at least three runs, and as many as fit into the time. */
async function measure(run: () => Promise<unknown>, batchSize: number, seconds: number, signal: AbortSignal) {
  for (let i = 0; i < 2; i++) {
    signal.throwIfAborted()
    await run()
  }
  const times: number[] = []
  for (const start = performance.now(); times.length < 3 || performance.now() - start < 1000 * seconds; ) {
    signal.throwIfAborted()
    const before = performance.now()
    await run()
    times.push(performance.now() - before)
  }
  times.sort((a, b) => a - b)
  const median = (times[(times.length - 1) >> 1]! + times[times.length >> 1]!) / 2
  return {
    runs: times.length,
    median,
    min: times[0]!,
    max: times.at(-1)!,
    imagesPerSecond: (1000 * batchSize) / median,
  }
}

function render(timings: Timing[]): string {
  const ms = (value: number) => value.toFixed(value < 100 ? 1 : 0)
  return table(
    ['', 'batch size', 'median ms', 'min ms', 'max ms', 'runs', 'images/s'],
    timings.map(({ task, batchSize, runs, median, min, max, imagesPerSecond }) => [
      task,
      batchSize,
      ms(median),
      ms(min),
      ms(max),
      runs,
      imagesPerSecond.toFixed(1),
    ]),
    'lrrrrrr',
  )
}
