import { rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import type { Columns } from '../data/columns.js'
import type { Dataset } from '../data/dataset.js'
import { openDataset } from '../data/open.js'
import { type Group, withGroup } from '../distributed/group.js'
import { shareFile } from '../distributed/share-file.js'
import { DEFAULT_PREPROCESSING } from '../image/preprocessing.js'
import { type Architecture, sizeOption } from '../model/architectures.js'
import { createModel, loadModel } from '../model/create-model.js'
import type { Model } from '../model/model.js'
import type { Device } from '../native/runtime.js'
import { RunDirectory } from '../train/directory.js'
import { resolveOptions, type TrainOptions } from '../train/options.js'
import { flagName, flagOf, type OptionRow, optionGroups, shownDefault } from '../train/table.js'
import { train } from '../train.js'
import { VisionTorchError } from '../util/errors.js'
import { temporaryPath } from '../util/files.js'
import { refuse } from '../util/is.js'
import { interruptSignal, isAbort, noteSaved } from './interrupt.js'
import { enterJob, ownDevice, shareThreads, shareWorkers } from './job.js'
import { launch, processesOption } from './launch.js'
import {
  type NormalizationOptions,
  normalizationOptions,
  noStrictOption,
  preprocessingOf,
  weightsDirOption,
  withDownload,
} from './model.js'
import { addSourceArgument, classesOption, dataOf, deviceOption, threadsOption } from './options.js'
import { trainingDisplay } from './progress.js'
import { printJson, warn } from './terminal.js'

interface TrainCommandOptions extends Omit<TrainOptions, 'data' | 'signal'>, NormalizationOptions {
  data?: string
  classes?: string
  columns?: Columns
  model?: string
  weights: string
  weightsDir?: string
  strict: boolean
  device: string
  threads?: number
  processes?: number | 'auto'
  json?: boolean
}

export function trainCommand(): Command {
  const command = addSourceArgument(
    new Command('train').description('train a network on labelled images'),
    'DATA/train/<class>/*.jpg and DATA/val/<class>/*.jpg, or an annotation file',
  )
    .addOption(classesOption())
    .option('--model <name>', "the network, by torchvision's name (default: resnet50)")
    .option(
      '--weights <name|file|none>',
      'weights to start from: official ones (DEFAULT, IMAGENET1K_V1, ...), a .pth or safetensors file, a URL, hf:owner/name, or none for random weights',
      'DEFAULT',
    )
    .addOption(weightsDirOption())
    .addOption(noStrictOption())
    .addOption(deviceOption())
    .addOption(threadsOption())
    .addOption(processesOption())
    .addOption(new Option('--json', 'print only events, as one JSON object per line'))
  for (const option of normalizationOptions()) command.addOption(option)
  for (const [heading, rows] of Object.entries(optionGroups)) {
    for (const [name, row] of Object.entries(rows))
      command.addOption(trainOption(name, row).helpGroup(`${heading}:`))
  }
  return command.addHelpText('after', examples).action(runTrain)
}

const examples = `
Examples:
  # fine-tune ResNet50, the default
  visiontorch train photos --epochs 20

  # a small network, classifier first
  visiontorch train photos \\
    --model mobilenet_v2 --epochs 15 \\
    --freeze-epochs 5 --lr 0.005

  # continue a run that was interrupted
  visiontorch train --resume \\
    --out runs/resnet50-1`

/** The command-line option of a row of the table of options. */
export function trainOption(name: string, row: OptionRow<unknown>): Option {
  const { kind, default: fallback, help } = row
  const shown = shownDefault(row).replace(/^[a-z]+[A-Z]\w*$/, flagName) // the default is the value of another option
  if (fallback === true) return new Option(flagOf(name, row), `do not ${help}`)
  const option = new Option(
    flagOf(name, row),
    ['none', 'off'].includes(shown) ? help : `${help} (default: ${shown})`,
  )
  if (kind.placeholder === '') return option
  return option.argParser(word => {
    const value = kind.parse(word)
    kind.check(name, value)
    return value // not the checked value: its properties are completed with defaults, but a preset has other defaults
  })
}

async function runTrain(argument: string | undefined, options: TrainCommandOptions): Promise<void> {
  const data = dataOf(argument, options)
  const {
    data: _data,
    classes,
    model: _model,
    weights: _weights,
    weightsDir: _weightsDir,
    strict: _strict,
    mean,
    std,
    device: _device,
    threads,
    processes,
    json,
    columns,
    ...training
  } = options
  const job = enterJob()
  if (data === undefined && training.resume === undefined) {
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      'expected DATA: a folder of images with a folder for each class, an annotation file, or a .csv, .tsv, .jsonl, .tar or .parquet file',
    )
  }
  // Refuse wrong options before anything is downloaded.
  resolveOptions(training)
  if (training.resume === true && training.directory === undefined)
    throw refuse('resume: true needs directory, the folder of the run to continue', 'resume', 'directory')
  if (processes !== undefined) {
    process.exitCode = await launch(job, processes)
    return
  }
  shareThreads(job, threads)
  if (job !== null) training.workers ??= shareWorkers()
  const signal = interruptSignal('finishing the step and saving; press Ctrl-C again to kill')
  const work = (group: Group) => trainInGroup(group, data, { ...options, ...training }, training, signal)
  await withGroup(job !== null, work)
}

async function trainInGroup(
  group: Group,
  data: string | undefined,
  options: TrainCommandOptions,
  training: Omit<TrainOptions, 'data' | 'signal'>,
  signal: AbortSignal,
): Promise<void> {
  const { classes, columns, mean, std, json } = options
  if (group.isFirst && typeof training.directory === 'string' && training.resume === undefined)
    await RunDirectory.refuseUsed(training.directory)
  const dataset = data === undefined ? undefined : await openDataset(data, { classes, columns, signal })
  preprocessingOf(DEFAULT_PREPROCESSING, { mean, std }) // refuses invalid values before a download
  using model = await openModel(options, dataset, signal, group)
  model.preprocessing = preprocessingOf(model.preprocessing, { mean, std })
  using display = trainingDisplay()
  const distributed = group.size > 1
  const run = train(model, { ...training, ...(dataset && { data: dataset }), distributed, signal })
  let directory: string | undefined
  try {
    for await (const event of run) {
      if (event.type === 'start') directory = event.directory
      if (!group.isFirst) {
        if (event.type === 'warning') warn(event.message)
      } else if (json) printJson(event)
      else display.show(event)
    }
  } catch (error) {
    display.stop()
    if (isAbort(error) && directory !== undefined && group.isFirst) {
      noteSaved(directory)
    }
    throw error
  }
}

/** Opens the network to train: that of the run to resume, or a new one with the classes of the data. */
async function openModel(
  options: TrainCommandOptions,
  dataset: Dataset | undefined,
  signal: AbortSignal,
  group: Group,
): Promise<Model> {
  const { model: architecture, weights } = options
  const device = ownDevice(enterJob(), options.device as Device)
  const resumed =
    (await group.broadcast(async () => (await checkpointToResume(options)) ?? null)) ?? undefined
  if (resumed !== undefined && architecture === undefined) {
    const local = group.isFirst ? resumed : temporaryPath(tmpdir())
    if (group.size > 1) await shareFile(group, resumed, local)
    return loadModel(local, { device, signal }).finally(() => group.isFirst || rm(local, { force: true }))
  }
  if (dataset === undefined) {
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      `--resume: ${options.directory} has no last.pth that names the data. Give DATA to start a new run`,
    )
  }
  const name = (architecture ?? 'resnet50') as Architecture
  try {
    return await withDownload(`${name} ${weights}`, onProgress =>
      createModel(name, {
        weights: weights === 'none' || resumed !== undefined ? null : weights,
        classes: dataset.classes,
        strict: options.strict,
        weightsDir: options.weightsDir,
        seed: options.seed ?? 0,
        device,
        signal,
        onProgress,
        ...sizeOption(name, options.inputSize),
      }),
    )
  } catch (error) {
    if (!(error instanceof VisionTorchError) || error.code !== 'ERR_DOWNLOAD') throw error
    const message = `${error.message}. To start from random weights instead, use --weights none`
    throw new VisionTorchError(error.code, message, { cause: error })
  }
}

/** The checkpoint that `--resume` refers to, if it exists. */
async function checkpointToResume({ resume, directory }: TrainCommandOptions): Promise<string | undefined> {
  if (typeof resume === 'string') return resume
  if (resume !== true || typeof directory !== 'string') return undefined
  const last = join(directory, 'last.pth')
  return stat(last).then(
    () => last,
    () => undefined,
  )
}
