import { mkdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import type { ImageInput } from '../image/input.js'
import type { Preprocessing } from '../image/preprocessing.js'
import { toSize } from '../image/size.js'
import { type NativeModel, native } from '../native/native.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { check, refuse } from '../util/is.js'
import type { ExternalData } from './onnx.js'
import { OPSETS } from './opsets.js'
import { withPreprocessing } from './preprocessing.js'

/** `onnx`: one file. `transformers`: a folder that transformers.js loads. */
export const EXPORT_FORMATS = ['onnx', 'transformers'] as const
export type ExportFormat = (typeof EXPORT_FORMATS)[number]

/** Options of `model.export`. */
export interface ExportOptions {
  /** What to write. Default `onnx`. */
  format?: ExportFormat
  /** The version of ONNX's operators, 17 to 22. Default 18. */
  opset?: number
  /** Whether the network takes batches of any size, instead of one image at a time. Default true. */
  dynamicBatch?: boolean
  /** Whether the output is `probabilities`, the softmax of the logits. Default false. Not for `transformers`. */
  softmax?: boolean
  /**
   * Whether the file resizes, crops and normalises images itself. It then takes images of any size, with pixel values from
   * 0 to 255. Default false, but true for `transformers`, whose own resizing gives different pixels.
   */
  includePreprocessing?: boolean
  /**
   * Whether the tensors go to a second file, whose name is that of the first with `_data` appended. Default: only if they
   * have more than 2 GB, which one ONNX file cannot hold.
   */
  externalData?: boolean
  /** Whether to export a classifier that was never trained. Default false: the export throws `ERR_UNTRAINED`. */
  allowUntrained?: boolean
  /**
   * Only for `transformers`: images like those that will be predicted, as {@link Model.quantize} takes them. The folder then also
   * holds `onnx/model_quantized.onnx`, which `dtype: 'q8'` loads. A quantised model is written as that file alone.
   */
  calibration?: string | Dataset | readonly ImageInput[]
  signal?: AbortSignal | undefined
  /** Called after each batch of calibration images, with the number of images that went through the network. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined
}

/** The parts of a model that are exported. */
export interface ExportedModel {
  network: NativeModel
  architecture: string
  classes: readonly string[]
  preprocessing: Readonly<Preprocessing>
  /** Whether its layers compute in integers. */
  isQuantized: boolean
}

const OPTIONS: readonly (keyof ExportOptions)[] = [
  'format',
  'opset',
  'dynamicBatch',
  'softmax',
  'includePreprocessing',
  'externalData',
  'allowUntrained',
  'calibration',
  'signal',
  'onProgress',
]

/** Checks the options, and fills in their defaults. */
export function checkExportOptions(options: ExportOptions) {
  check.options('options', options, OPTIONS)
  const flag = <T>(name: keyof ExportOptions, otherwise: T) =>
    options[name] === undefined ? otherwise : check.boolean(name, options[name])
  const format = check.oneOf('format', options.format ?? 'onnx', EXPORT_FORMATS)
  const opset = check.integer('opset', options.opset ?? OPSETS.default, OPSETS.min, OPSETS.max)
  const softmax = flag('softmax', false)
  const includePreprocessing = flag('includePreprocessing', format === 'transformers')
  if (format === 'transformers' && softmax)
    throw refuse(
      "softmax: expected false for format: 'transformers', because transformers.js expects logits",
      'softmax',
      'format',
    )
  if (format === 'transformers' && !includePreprocessing)
    throw refuse(
      "includePreprocessing: expected true for format: 'transformers', because transformers.js resizes images to different pixels",
      'includePreprocessing',
      'format',
    )
  if (format !== 'transformers' && options.calibration !== undefined)
    throw refuse(
      "calibration: expected format: 'transformers' with it. For one ONNX file, export the model that model.quantize() gives",
      'calibration',
      'format',
    )
  return {
    format,
    opset,
    softmax,
    includePreprocessing,
    dynamicBatch: flag('dynamicBatch', true),
    externalData: flag('externalData', undefined),
    allowUntrained: flag('allowUntrained', false),
  }
}
type CheckedOptions = ReturnType<typeof checkExportOptions>

/** A protobuf message holds less than 2 GiB, and the description of the network needs some of that. */
const MOST_BYTES = 2 ** 31 - 2 ** 24

/**
 * Writes the model to `path`, a file or a folder, whose parent must exist.
 * @param quantized The same model in 8 bits, for a folder.
 */
export async function exportModel(
  path: string,
  model: ExportedModel,
  options: CheckedOptions,
  quantized?: ExportedModel,
): Promise<void> {
  if (options.format === 'transformers') await exportFolder(path, model, options, quantized)
  else await exportOnnx(path, model, options)
}

/** Writes `path`, and a second file for the tensors if necessary. Returns whether it wrote the second file. */
async function exportOnnx(path: string, model: ExportedModel, options: CheckedOptions): Promise<boolean> {
  const { network, architecture, classes, preprocessing } = model
  const { opset, dynamicBatch, softmax, includePreprocessing } = options
  const { height, width } = toSize(preprocessing.crop)
  const ofNetwork = await native().onnxGraph(network, height, width, opset)
  const graph = includePreprocessing ? withPreprocessing(ofNetwork, preprocessing) : ofNetwork
  const output = softmax ? 'probabilities' : graph.output
  if (softmax)
    graph.operations.push({ type: 'Softmax', inputs: [graph.output], output, attributes: { axis: -1n } })

  const bytes = [...graph.tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0)
  const external: ExternalData | undefined =
    (options.externalData ?? bytes > MOST_BYTES)
      ? { location: `${basename(path)}_data`, chunks: [] }
      : undefined
  const batch = dynamicBatch ? 'batch' : 1
  const size = includePreprocessing ? ['height', 'width'] : [height, width]
  const { encodeOnnx } = await import('./onnx.js') // imported here, because it loads the protobuf library
  const file = encodeOnnx(
    {
      graph,
      opset,
      name: architecture,
      input: { name: graph.input, dimensions: [batch, 3, ...size] },
      output: { name: output, dimensions: [batch, classes.length] },
      metadata: {
        architecture,
        classes: JSON.stringify(classes),
        preprocessing: JSON.stringify(preprocessing),
        includes_preprocessing: String(includePreprocessing),
      },
    },
    external,
  )
  if (external !== undefined) {
    await replaceFile(`${path}_data`, async data => {
      for (const chunk of external.chunks) await data.writeFile(chunk)
    })
  }
  await replaceFile(path, file)
  return external !== undefined
}

/** The files that transformers.js looks for, by its names of what networks compute with. */
const TRANSFORMERS_FILES = { fp32: 'model.onnx', q8: 'model_quantized.onnx' } as const

/** Writes a folder for transformers.js, with the layout of the Hugging Face Hub. */
async function exportFolder(
  folder: string,
  model: ExportedModel,
  options: CheckedOptions,
  quantized: ExportedModel | undefined,
): Promise<void> {
  const { architecture, classes, preprocessing } = model
  await mkdir(join(folder, 'onnx'), { recursive: true }).catch(error =>
    Promise.reject(cannotWrite(folder, error)),
  )
  const dtype = model.isQuantized ? 'q8' : 'fp32'
  const isExternal = await exportOnnx(join(folder, 'onnx', TRANSFORMERS_FILES[dtype]), model, options)
  if (quantized) await exportOnnx(join(folder, 'onnx', TRANSFORMERS_FILES.q8), quantized, options)
  const { width, height } = toSize(preprocessing.crop)
  const config = {
    // transformers.js treats all image classifiers alike, but knows only a few architectures.
    model_type: 'resnet',
    architectures: ['ResNetForImageClassification'],
    num_channels: 3,
    image_size: width === height ? width : [height, width],
    id2label: Object.fromEntries(classes.map((name, index) => [index, name])),
    label2id: Object.fromEntries(classes.map((name, index) => [name, index])),
    'transformers.js_config': { dtype, ...(isExternal && { use_external_data_format: true }) },
    visiontorch: { architecture, preprocessing },
  }
  // The network's file resizes, crops and normalises.
  const preprocessor = {
    image_processor_type: 'ViTImageProcessor',
    do_resize: false,
    do_center_crop: false,
    do_rescale: false,
    do_normalize: false,
  }
  await replaceFile(join(folder, 'config.json'), toJson(config))
  await replaceFile(join(folder, 'preprocessor_config.json'), toJson(preprocessor))
}

const toJson = (value: object) => `${JSON.stringify(value, null, 2)}\n`
