import { access } from 'node:fs/promises'
import { type Command, Option } from 'commander'
import { readClasses } from '../data/class-names.js'
import type { DownloadProgress } from '../download/download.js'
import {
  checkPreprocessing,
  cropTo,
  DEFAULT_PREPROCESSING,
  INTERPOLATIONS,
  type Interpolation,
  NAMED_PREPROCESSING,
  type Preprocessing,
  type PreprocessingName,
} from '../image/preprocessing.js'
import { formatSize, type InputSize, toSize } from '../image/size.js'
import { type Architecture, checkArchitecture } from '../model/architectures.js'
import { createModel, loadModel } from '../model/create-model.js'
import { MODEL_DTYPES, type Model, type ModelDType } from '../model/model.js'
import { type Device, resolveDevice, runtimeInfo, setThreads } from '../native/runtime.js'
import { VisionTorchError } from '../util/errors.js'
import { deviceOption, inputSize, list, number, threadsOption, trueOrFalse } from './options.js'
import { formatBytes, type Progress, progress } from './terminal.js'

/** The options that select the trained model of a command, and the device. */
export interface ModelOptions extends NormalizationOptions {
  checkpoint?: string
  model?: string
  weights?: string
  weightsDir?: string
  classes?: string
  strict: boolean
  allowUntrained?: boolean
  resize?: Preprocessing['resize']
  crop?: Preprocessing['crop']
  interpolation?: Interpolation
  preprocessing?: PreprocessingName
  autoOrient?: boolean
  device: string
  dtype?: ModelDType
  threads?: number
}

/** The normalisation of images, for weights that do not bring their own. */
export interface NormalizationOptions {
  mean?: number[] | undefined
  std?: number[] | undefined
}

export const dtypeOption = () =>
  new Option(
    '--dtype <dtype>',
    'number type of the computation (default: int8 for a quantised checkpoint, otherwise float32)',
  ).choices(MODEL_DTYPES)

export const modelOption = () =>
  new Option('--model <name>', "the network, by torchvision's name: resnet50, ...")

export const noStrictOption = () =>
  new Option(
    '--no-strict',
    'load the tensors that fit, even if others are missing, unexpected or of another shape',
  )

export const weightsDirOption = () =>
  new Option(
    '--weights-dir <folder>',
    'folder to search for official weights before downloading them (default: VISIONTORCH_WEIGHTS_DIR)',
  )

export const normalizationOptions = () => [
  new Option(
    '--mean <r,g,b>',
    "mean of each channel, on the scale of 0 to 1 (default: that of the weights, else ImageNet's)",
  ).argParser(list(number(-1e3, 1e3))),
  new Option(
    '--std <r,g,b>',
    "standard deviation of each channel, on the same scale (default: that of the weights, else ImageNet's)",
  ).argParser(list(number(1e-6, 1e3))),
]

/**
 * Adds the options of {@link ModelOptions} to a command. Those in `withCheckpoint` may be combined with
 * `--checkpoint`, not only with `--model`.
 */
export function addModelOptions(command: Command, withCheckpoint: readonly string[] = []): Command {
  const foreign = [
    new Option(
      '--weights <name|file|none>',
      'with --model: official weights (DEFAULT, IMAGENET1K_V1, ...), a .pth or safetensors file, a URL, hf:owner/name, or none for random weights',
    ),
    new Option('--classes <file>', 'with --model: a file with one class name per line'),
    noStrictOption(),
    weightsDirOption(),
    ...normalizationOptions(),
    new Option(
      '--resize <n|HxW>',
      "length of images' shorter side after resizing, in pixels, or their exact height and width",
    ).argParser(inputSize(1, 8192)),
    new Option(
      '--crop <n|HxW>',
      'side, or height and width, of the part that is cut from the resized image as input of the network, in pixels',
    ).argParser(inputSize(32, 4096)),
    new Option('--interpolation <name>', 'interpolation for resizing images').choices(INTERPOLATIONS),
  ]
  command
    .addOption(
      new Option(
        '--checkpoint <file>',
        'a model that visiontorch trained or saved, or hf:owner/name',
      ).conflicts([
        'model',
        ...foreign
          .filter(({ negate }) => !negate)
          .map(option => option.attributeName())
          .filter(name => !withCheckpoint.includes(name)),
      ]),
    )
    .addOption(modelOption())
  for (const option of foreign) command.addOption(option)
  return command
    .addOption(
      new Option(
        '--preprocessing <name>',
        'preprocess images as another program does, except for the options above',
      ).choices(Object.keys(NAMED_PREPROCESSING)),
    )
    .option(
      '--auto-orient <true|false>',
      "whether to turn images upright according to their EXIF orientation (default: the model's: true)",
      trueOrFalse,
    )
    .option('--allow-untrained', 'also use a classifier that was never trained, whose predictions are random')
    .addOption(deviceOption())
    .addOption(dtypeOption())
    .addOption(threadsOption())
}

/**
 * Opens the model that the options name. Official weights are downloaded if they are not in the cache; before that, the
 * options are checked, and that the `files` that the command will read exist.
 * @throws ERR_UNTRAINED if its predictions would be random, unless `--weights none` or `--allow-untrained` asks for that.
 */
export async function openModel(
  options: ModelOptions,
  files: readonly string[],
  signal: AbortSignal,
): Promise<Model> {
  const { checkpoint, model: architecture, threads, strict } = options
  if (threads !== undefined) setThreads(threads)
  const { dtype } = options
  const where = { device: options.device as Device, ...(dtype && { dtype }), signal }
  if (checkpoint === undefined && architecture === undefined) {
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      'expected --checkpoint FILE, or --model NAME with --weights FILE (default: DEFAULT, the official ones)',
    )
  }
  resolveDevice(where.device, runtimeInfo())
  if (architecture !== undefined) checkArchitecture(architecture)
  preprocessingOf(DEFAULT_PREPROCESSING, options) // refuses invalid values early
  if (checkpoint === undefined) for (const file of files) await checkExists(file)
  const classes = options.classes === undefined ? {} : { classes: await readClasses(options.classes) }
  const weights = options.weights ?? 'DEFAULT'
  const model =
    checkpoint !== undefined
      ? await withDownload(checkpoint, onProgress => loadModel(checkpoint, { ...where, onProgress }))
      : await withDownload(`${architecture} ${weights}`, onProgress =>
          createModel(architecture as Architecture, {
            ...where,
            ...classes,
            weights: weights === 'none' ? null : weights,
            strict,
            weightsDir: options.weightsDir,
            onProgress,
          }),
        )
  try {
    model.checkGivesProbabilities(options.allowUntrained === true)
    model.preprocessing = preprocessingOf(model.preprocessing, options)
    return model
  } catch (error) {
    model.dispose()
    throw error
  }
}

/** The preprocessing with the changes that the options ask for. */
export function preprocessingOf(
  own: Readonly<Preprocessing>,
  options: NormalizationOptions &
    Partial<Pick<Preprocessing, 'resize' | 'crop' | 'interpolation' | 'autoOrient'>> & {
      preprocessing?: PreprocessingName
    },
): Readonly<Preprocessing> {
  const { mean, std, resize, crop, interpolation, autoOrient } = options
  const base = options.preprocessing === undefined ? own : NAMED_PREPROCESSING[options.preprocessing]
  for (const [flag, values] of Object.entries({ mean, std })) {
    if (values === undefined || values.length === 3) continue
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      `--${flag}: expected three numbers, for red, green and blue (0.485,0.456,0.406), got ${values.length}`,
    )
  }
  const given = Object.entries({ mean, std, resize, crop, interpolation, autoOrient }).filter(
    ([, value]) => value !== undefined,
  )
  const scaled = cropTo(base, crop ?? base.crop)
  const [least, resized] = [toSize(scaled.crop), toSize(resize ?? scaled.resize)]
  if (resize !== undefined && (resized.height < least.height || resized.width < least.width)) {
    const shown = (size: InputSize) => (typeof size === 'number' ? size : formatSize(size))
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      `--resize: expected at least --crop (${shown(scaled.crop)}), got ${shown(resize)}`,
    )
  }
  return checkPreprocessing('preprocessing', { ...scaled, ...Object.fromEntries(given) })
}

/** Shows the progress of a download, if there is one. */
export async function withDownload<T>(
  label: string,
  use: (onProgress: (progress: DownloadProgress) => void) => Promise<T>,
): Promise<T> {
  const download = downloadProgress(label)
  try {
    return await use(download.onProgress)
  } finally {
    download.stop()
  }
}

/** A progress bar that appears when a download starts. */
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

/** Throws before a download if a file does not exist. */
async function checkExists(path: string): Promise<void> {
  await access(path).catch(() => {
    throw new VisionTorchError('ERR_FILE_NOT_FOUND', `${path}: there is no such file or folder`)
  })
}
