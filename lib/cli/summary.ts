import { Command } from 'commander'
import { formatSize, type InputSize } from '../image/size.js'
import { type Architecture, sizeOption } from '../model/architectures.js'
import { createModel, loadModel } from '../model/create-model.js'
import type { Model, ModelSummary } from '../model/model.js'
import { VisionTorchError } from '../util/errors.js'
import { modelOption } from './model.js'
import { inputSize, integer, jsonOption } from './options.js'
import { formatCount, print, printJson, table } from './terminal.js'

interface SummaryCommandOptions {
  model?: string
  checkpoint?: string
  numClasses?: number
  inputSize?: InputSize
  json?: boolean
}

export const summaryCommand = (): Command =>
  new Command('summary')
    .description("show a network's layers, output shapes, parameters and multiply-adds")
    .addOption(modelOption().conflicts('checkpoint'))
    .option('--checkpoint <file>', 'a model that visiontorch trained or saved, or hf:owner/name')
    .option('--num-classes <n>', 'with --model: how many classes (default: 1000)', integer(1))
    .option(
      '--input-size <n|HxW>',
      "side of the image in pixels, or its height and width (default: the model's, 224)",
      inputSize(32, 4096),
    )
    .addOption(jsonOption())
    .action(async (options: SummaryCommandOptions) => {
      using model = await open(options)
      const summary = model.summary(options.inputSize)
      if (options.json) printJson(summary)
      else print(render(summary))
    })

async function open({ model, checkpoint, numClasses, inputSize }: SummaryCommandOptions): Promise<Model> {
  if (checkpoint !== undefined) return loadModel(checkpoint, { device: 'cpu' })
  if (model === undefined) {
    throw new VisionTorchError('ERR_INVALID_ARGUMENT', 'expected --model NAME or --checkpoint FILE')
  }
  return createModel(model as Architecture, {
    device: 'cpu',
    ...(numClasses === undefined ? {} : { numClasses }),
    ...sizeOption(model as Architecture, inputSize),
  })
}

function render({ architecture, inputSize, layers, parameterCount, multiplyAdds }: ModelSummary): string {
  const rows = layers.map(({ name, type, outputShape, parameters, multiplyAdds }) => [
    name,
    type,
    outputShape.join(' x '),
    formatCount(parameters),
    formatCount(multiplyAdds),
  ])
  return [
    table(['layer', 'type', 'output', 'parameters', 'multiply-adds'], rows, 'llrrr'),
    '',
    `${architecture} for images of ${formatSize(inputSize)} pixels: ${formatCount(parameterCount)} parameters, ` +
      `${(multiplyAdds / 1e9).toFixed(2)} G multiply-adds`,
  ].join('\n')
}
