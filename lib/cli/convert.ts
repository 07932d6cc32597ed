import { Command, Option } from 'commander'
import type { Architecture } from '../model/architectures.js'
import { containers } from '../model/checkpoint.js'
import { type ConvertOptions, convertCheckpoint } from '../model/convert.js'
import { interruptSignal } from './interrupt.js'
import { modelOption, withDownload } from './model.js'
import { note } from './terminal.js'

type Flags = Pick<ConvertOptions, 'container' | 'dtype' | 'names'> & {
  model?: string
  format?: 'checkpoint' | 'state_dict'
  classifier: boolean
}

export const convertCommand = (): Command =>
  new Command('convert')
    .description('write a checkpoint in another container, format or type, or with other names')
    .argument('<in>', 'a .pth or safetensors file, or hf:owner/name')
    .argument('<out>', 'the new file; the extension .safetensors chooses that container')
    .addOption(modelOption())
    .addOption(
      new Option('--container <name>', 'container of the new file; legacy is for PyTorch before 1.6').choices(
        containers,
      ),
    )
    .addOption(
      new Option(
        '--format <name>',
        'only the weights, or also classes, preprocessing and the training state (default: as IN)',
      ).choices(['checkpoint', 'state_dict']),
    )
    .option('--no-classifier', "leave out the classifier's layers")
    .addOption(
      new Option('--dtype <dtype>', 'number type of the stored weights (default: as IN)').choices([
        'float32',
        'float16',
        'bfloat16',
      ]),
    )
    .addOption(
      new Option('--names <whose>', 'name the weights as torchvision or as timm does').choices([
        'torchvision',
        'timm',
      ]),
    )
    .addHelpText(
      'after',
      '\nFiles of other programs need --model, unless you give only --container or --dtype.',
    )
    .action(async (input: string, output: string, flags: Flags) => {
      const { model, ...rest } = flags
      const architecture = model as Architecture | undefined
      const signal = interruptSignal()
      await withDownload(input, onProgress =>
        convertCheckpoint(input, output, { ...rest, architecture, signal, onProgress }),
      )
      note(`wrote ${output}`)
    })
