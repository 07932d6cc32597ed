import { availableParallelism } from 'node:os'
import { Command } from 'commander'
import type { Columns } from '../data/columns.js'
import { decodeSample } from '../data/decode-sample.js'
import { Loader } from '../data/loader.js'
import { openDataset } from '../data/open.js'
import { checkAugmentation } from '../image/augmentation.js'
import { batchImages } from '../image/batch-images.js'
import { contactSheet } from '../image/contact-sheet.js'
import {
  checkPreprocessing,
  DEFAULT_PREPROCESSING,
  type Interpolation,
  type ResizeMode,
} from '../image/preprocessing.js'
import { type InputSize, toSize } from '../image/size.js'
import { native } from '../native/native.js'
import { shortLabels } from '../report/labels.js'
import { resizedTo } from '../train/data.js'
import { trainingBatches } from '../train/feed.js'
import { epochUpdates, largestBatch } from '../train/sampler.js'
import { optionTable } from '../train/table.js'
import { replaceFile } from '../util/files.js'
import { interruptSignal } from './interrupt.js'
import { addSourceArgument, classesOption, integer, requiredDataOf } from './options.js'
import { print, warn } from './terminal.js'
import { trainOption } from './train.js'

interface PreviewCommandOptions {
  data?: string
  classes?: string
  columns?: Columns
  augmentation?: unknown
  resize?: ResizeMode
  fill?: [number, number, number]
  inputSize?: InputSize
  interpolation?: Interpolation
  autoOrient?: boolean
  seed?: number
  batchSize: number
  epoch: number
  out: string
}

export const previewCommand = (): Command =>
  addSourceArgument(
    new Command('preview').description('draw a training batch as the network sees it'),
    'the training images, as for train',
  )
    .addOption(classesOption())
    .addOption(trainOption('augmentation', optionTable.augmentation))
    .addOption(trainOption('resize', optionTable.resize))
    .addOption(trainOption('fill', optionTable.fill))
    .addOption(trainOption('interpolation', optionTable.interpolation))
    .addOption(trainOption('autoOrient', optionTable.autoOrient))
    .addOption(trainOption('inputSize', optionTable.inputSize))
    .addOption(trainOption('seed', optionTable.seed))
    .option('--batch-size <n>', 'how many images', integer(1, 1024), 25)
    .option('--epoch <n>', 'the epoch whose first batch is shown', integer(1), 1)
    .option('--out <file>', 'the PNG file to write', 'preview.png')
    .action(runPreview)

async function runPreview(argument: string | undefined, options: PreviewCommandOptions): Promise<void> {
  const data = requiredDataOf(argument, options)
  const signal = interruptSignal()
  const { seed = 0, out } = options
  const dataset = await openDataset(data, { classes: options.classes, columns: options.columns, signal })
  for (const warning of dataset.warnings) warn(warning)
  const samples = dataset.split('train')
  const preprocessing = checkPreprocessing('preprocessing', resizedTo(DEFAULT_PREPROCESSING, options))
  const { mean, std } = preprocessing
  const { width, height } = toSize(preprocessing.crop)
  const batchSize = Math.min(options.batchSize, samples.length)
  const capacity = largestBatch(samples.length, batchSize)
  const names = shortLabels(dataset.classes, Math.floor(width / 7)) // a letter is about 7 pixels wide
  const epoch = options.epoch - 1
  const loader = new Loader({
    samples,
    workers: Math.min(8, availableParallelism()),
    decode: sample => decodeSample(sample, { autoOrient: preprocessing.autoOrient }),
    createBatch: () => new (native().ImageBatch)(capacity, height, width, mean, std),
  })
  const [[indices]] = epochUpdates(samples.length, batchSize, 1, seed, epoch) as [[Uint32Array]]
  const augmentation = checkAugmentation('augmentation', options.augmentation ?? 'standard')
  const batches = trainingBatches(loader, [{ indices, position: 0 }], {
    augmentation,
    preprocessing,
    seed,
    epoch,
  })
  for await (const { images, labels } of batches) {
    signal.throwIfAborted()
    const pictures = batchImages(images, labels.length, preprocessing)
    const named = pictures.map((picture, i) => ({ ...picture, label: names[labels[i]!]! }))
    await replaceFile(out, await contactSheet(named))
  }
  print(out)
}
