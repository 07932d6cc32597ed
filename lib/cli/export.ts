import { Command } from 'commander'
import { OPSETS } from '../export/opsets.js'
import { interruptSignal } from './interrupt.js'
import { addModelOptions, type ModelOptions, openModel } from './model.js'
import { integer } from './options.js'
import { note } from './terminal.js'

interface ExportCommandOptions extends ModelOptions {
  opset?: number
  dynamicBatch: boolean
  softmax?: boolean
}

export const exportCommand = (): Command =>
  addModelOptions(new Command('export'))
    .description('write a model as an ONNX file')
    .argument('<file>', 'the file to write: model.onnx')
    .option(
      '--opset <n>',
      `the version of ONNX's operators, ${OPSETS.min} to ${OPSETS.max} (default: ${OPSETS.default})`,
      integer(OPSETS.min, OPSETS.max),
    )
    .option('--no-dynamic-batch', 'the network takes one image at a time, and not any number')
    .option('--softmax', 'the output is probabilities, not logits')
    .action(runExport)

async function runExport(path: string, options: ExportCommandOptions): Promise<void> {
  const { opset, dynamicBatch, softmax } = options
  using model = await openModel(options, [], interruptSignal())
  await model.export(path, {
    dynamicBatch,
    softmax: softmax === true,
    allowUntrained: options.allowUntrained === true,
    ...(opset !== undefined && { opset }),
  })
  note(`wrote ${path}`)
}
