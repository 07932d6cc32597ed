import { Command, Option } from 'commander'
import { EXPORT_FORMATS, type ExportFormat } from '../export/export.js'
import { OPSETS } from '../export/opsets.js'
import { interruptSignal } from './interrupt.js'
import { addModelOptions, type ModelOptions, openModel } from './model.js'
import { integer } from './options.js'
import { note, type Progress, progress } from './terminal.js'

interface ExportCommandOptions extends ModelOptions {
  opset?: number
  dynamicBatch: boolean
  softmax?: boolean
  includePreprocessing?: boolean
  format: ExportFormat
  calibrate?: string
}

export const exportCommand = (): Command =>
  addModelOptions(new Command('export'))
    .description('write a model for other programs: as an ONNX file, or a folder for transformers.js')
    .argument('<path>', 'the file or folder to write: model.onnx')
    .addOption(
      new Option('--format <name>', 'onnx: a file; transformers: a folder for transformers.js')
        .choices(EXPORT_FORMATS)
        .default('onnx'),
    )
    .option(
      '--opset <n>',
      `the version of ONNX's operators, ${OPSETS.min} to ${OPSETS.max} (default: ${OPSETS.default})`,
      integer(OPSETS.min, OPSETS.max),
    )
    .option(
      '--calibrate <dir|file>',
      'with --format transformers: also write the network in 8 bits (q8), calibrated with these images',
    )
    .option('--no-dynamic-batch', 'make the network take one image at a time, instead of batches of any size')
    .option('--include-preprocessing', 'make the file resize, crop and normalise images itself')
    .option('--softmax', 'output probabilities instead of logits')
    .action(runExport)

async function runExport(path: string, options: ExportCommandOptions): Promise<void> {
  const { format, opset, dynamicBatch, softmax, includePreprocessing } = options
  const signal = interruptSignal()
  using model = await openModel(options, [], signal)
  let bar: Progress | undefined
  const onProgress = ({ done, total }: { done: number; total: number }): void => {
    bar ??= progress('calibrating', total)
    bar.update(done)
  }
  const exported = model.export(path, {
    format,
    dynamicBatch,
    softmax: softmax === true,
    allowUntrained: options.allowUntrained === true,
    ...(opset !== undefined && { opset }),
    ...(includePreprocessing !== undefined && { includePreprocessing }),
    ...(options.calibrate !== undefined && { calibration: options.calibrate }),
    signal,
    onProgress,
  })
  await exported.finally(() => bar?.stop())
  note(`wrote ${path}`)
}
