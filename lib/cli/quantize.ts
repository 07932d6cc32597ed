import { stat } from 'node:fs/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import type { Columns } from '../data/columns.js'
import type { Dataset } from '../data/dataset.js'
import { toDataset } from '../data/open.js'
import { evaluate } from '../evaluate/evaluate.js'
import type { Model } from '../model/model.js'
import { QUANTIZE_METHODS, type QuantizeMethod } from '../model/quantize.js'
import { toPath } from '../util/file-name.js'
import { formatShare } from '../util/format.js'
import { interruptSignal } from './interrupt.js'
import { addModelOptions, type ModelOptions, openModel } from './model.js'
import { addSourceArgument, integer, jsonOption, requiredDataOf } from './options.js'
import { formatBytes, note, type Progress, print, printJson, progress, table, warn } from './terminal.js'

interface QuantizeCommandOptions extends ModelOptions {
  data?: string
  columns?: Columns
  out: string
  method: QuantizeMethod
  samples: number
  keep: 'auto' | 'none' | string[]
  scales?: string
  json?: boolean
}

export const quantizeCommand = (): Command =>
  addSourceArgument(
    addModelOptions(new Command('quantize'), ['classes']),
    'labelled images like those to predict: a folder with a folder for each class, or an annotation file',
  )
    .description('make a trained model smaller by storing weights and computing activations in 8 bits')
    .requiredOption('--out <file>', 'the quantised checkpoint to write: best.int8.pth')
    .addOption(
      new Option('--method <name>', 'how to choose the range of activations')
        .choices(QUANTIZE_METHODS)
        .default('mse'),
    )
    .option('--samples <n>', 'how many training images to calibrate with', integer(1, 65_536), 256)
    .option(
      '--keep <layers>',
      'layers that stay in floating point: auto, none, or names such as conv1,fc',
      kept,
      'auto',
    )
    .addOption(
      new Option(
        '--scales <file>',
        'an ONNX file of the same model in 8 bits, whose scales to use instead of calibrating',
      ).conflicts(['method', 'samples', 'keep']),
    )
    .addOption(jsonOption())
    .addHelpText(
      'after',
      '\nPrints the accuracy of both models on the validation images, and how often they agree.',
    )
    .action(runQuantize)

function kept(text: string): QuantizeCommandOptions['keep'] {
  if (text === 'auto' || text === 'none') return text
  const names = text.split(',').map(name => name.trim())
  if (names.every(name => name.length > 0)) return names
  throw new InvalidArgumentError('Expected auto, none, or names of layers separated by commas.')
}

async function runQuantize(argument: string | undefined, options: QuantizeCommandOptions): Promise<void> {
  const data = requiredDataOf(argument, options)
  const { out, method, samples, keep, scales } = options
  const how = scales === undefined ? { method, samples, keep } : { scales }
  const signal = interruptSignal()
  using model = await openModel(options, [data], signal)
  const dataset = await toDataset(data, {
    classes: options.classes,
    columns: options.columns,
    modelClasses: model.classes,
    signal,
  })
  const quantized = await withBar('calibrating', onProgress =>
    model.quantize(dataset, { ...how, signal, onProgress }),
  )
  using small = quantized
  await small.save(out)
  const split = ['val', 'test'].find(name => dataset.splits.has(name)) ?? [...dataset.splits.keys()][0]!
  if (split === 'train')
    warn('there are no validation images, so both models are evaluated on training images')
  const before = await predictions(model, dataset, split, 'evaluating', options, signal)
  const after = await predictions(small, dataset, split, 'evaluating int8', options, signal)
  const agreeing = before.labels.filter((label, i) => label === after.labels[i]).length
  const { int8, float } = small.quantization!
  const { size } = await stat(toPath(out))
  const figures = {
    images: before.labels.length,
    float: { top1: before.top1, bytes: model.parameterCount * Float32Array.BYTES_PER_ELEMENT },
    int8: { top1: after.top1, bytes: size },
    agreement: agreeing / before.labels.length,
    layers: { int8, float },
  }
  if (options.json) printJson(figures)
  else print(text(figures))
  note(`wrote ${out}`)
}

async function withBar<T>(
  label: string,
  run: (onProgress: (progress: { done: number; total: number }) => void) => Promise<T>,
): Promise<T> {
  let bar: Progress | undefined
  try {
    return await run(({ done, total }) => {
      bar ??= progress(label, total)
      bar.update(done)
    })
  } finally {
    bar?.stop()
  }
}

/** Computes the predicted class of each image, and the accuracy. */
async function predictions(
  model: Model,
  dataset: Dataset,
  split: string,
  label: string,
  { allowUntrained }: ModelOptions,
  signal: AbortSignal,
) {
  const labels: string[] = []
  const { top1 } = await withBar(label, onProgress =>
    evaluate(model, dataset, {
      split,
      allowUntrained: allowUntrained === true,
      signal,
      onProgress,
      onPrediction: ({ predicted }) => labels.push(predicted),
    }),
  )
  return { top1, labels }
}

function text(figures: {
  images: number
  float: { top1: number; bytes: number }
  int8: { top1: number; bytes: number }
  agreement: number
  layers: { int8: readonly string[]; float: readonly string[] }
}): string {
  const { images, float, int8, agreement, layers } = figures
  const rows = Object.entries({ float, int8 }).map(([name, { top1, bytes }]) => [
    name,
    formatShare(top1),
    formatBytes(bytes),
  ])
  return [
    table(['model', 'accuracy', 'size'], rows, 'lrr'),
    '',
    `both models predict the same class for ${formatShare(agreement)} of ${images} images`,
    `in 8 bits: ${layers.int8.length} layers; in floating point: ${layers.float.join(', ') || 'none'}`,
  ].join('\n')
}
