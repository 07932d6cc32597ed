import { type Command, Option } from 'commander'
import type { Architecture } from '../architectures.js'
import { createModel, loadModel } from '../create-model.js'
import { readClasses } from '../data/class-names.js'
import type { DownloadProgress } from '../download/download.js'
import { VisionTorchError } from '../errors.js'
import type { Model, ModelDType } from '../model.js'
import { type Device, setThreads } from '../runtime.js'
import { deviceOption, threadsOption } from './options.js'
import { formatBytes, type Progress, progress } from './terminal.js'

/** The options that say which trained model a command uses, and where it computes. */
export interface ModelOptions {
  checkpoint?: string
  model?: string
  weights?: string
  classes?: string
  device: string
  dtype: string
  threads?: number
}

export const dtypeOption = () =>
  new Option('--dtype <dtype>', 'what to compute with').choices(['float32', 'bfloat16']).default('float32')

export const modelOption = () =>
  new Option('--model <name>', "the network, by torchvision's name: resnet50, ...")

/** Adds the options of {@link ModelOptions} to a command; `--checkpoint` excludes `others`. */
export function addModelOptions(
  command: Command,
  others: string[] = ['model', 'weights', 'classes'],
): Command {
  return command
    .addOption(
      new Option('--checkpoint <file>', 'a model that visiontorch trained or saved').conflicts(others),
    )
    .addOption(modelOption())
    .option(
      '--weights <name|file>',
      'with --model: official weights (DEFAULT, IMAGENET1K_V1, ...), a .pth file or URL',
    )
    .option('--classes <file>', "with --model: the classes' names, one a line")
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .addOption(threadsOption())
}

/** The model that the options name; official weights are downloaded where they are not in the cache. */
export async function openModel(options: ModelOptions, signal: AbortSignal): Promise<Model> {
  const { checkpoint, model, threads } = options
  if (threads !== undefined) setThreads(threads)
  const where = { device: options.device as Device, dtype: options.dtype as ModelDType, signal }
  if (checkpoint !== undefined) return loadModel(checkpoint, where)
  if (model === undefined) {
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      'expected --checkpoint FILE, or --model NAME with --weights FILE (default: DEFAULT, the official ones)',
    )
  }
  const weights = options.weights ?? 'DEFAULT'
  const download = downloadProgress(`${model} ${weights}`)
  try {
    return await createModel(model as Architecture, {
      ...where,
      weights,
      ...(options.classes === undefined ? {} : { classes: await readClasses(options.classes) }),
      onProgress: download.onProgress,
    })
  } finally {
    download.stop()
  }
}

/** A bar for a download, from the moment that there is one. */
export function downloadProgress(label: string) {
  let bar: Progress | undefined
  return {
    onProgress({ received, total }: DownloadProgress): void {
      bar ??= progress(label, total ?? received, formatBytes)
      bar.update(received)
    },
    stop: () => bar?.stop(),
  }
}
