import { basename } from 'node:path'
import type { Preprocessing } from '../image/preprocessing.js'
import { type NativeModel, native } from '../native/native.js'
import { replaceFile } from '../util/files.js'
import { check } from '../util/is.js'
import type { ExternalData } from './onnx.js'
import { OPSETS } from './opsets.js'

/** How `model.export` writes a model. */
export interface ExportOptions {
  /** The version of ONNX's operators, 17 to 22. Default 18. */
  opset?: number
  /** Default true: the network takes any number of images at once. With false, it takes one. */
  dynamicBatch?: boolean
  /** Default false. With true, the output is `probabilities`, the softmax of the logits. */
  softmax?: boolean
  /**
   * Whether the tensors go to a second file, named like the first with `.data` at the end. Default: only if they have more
   * than 2 GB, which one ONNX file cannot hold.
   */
  externalData?: boolean
  /** Default false: `ERR_UNTRAINED` if the classifier was never trained. */
  allowUntrained?: boolean
}

/** What is exported of a model. */
export interface ExportedModel {
  network: NativeModel
  architecture: string
  classes: readonly string[]
  preprocessing: Readonly<Preprocessing>
}

/** Checks the options, and fills in their defaults. */
export function checkExportOptions(options: ExportOptions) {
  check.options('options', options, ['opset', 'dynamicBatch', 'softmax', 'externalData', 'allowUntrained'])
  const { externalData } = options
  return {
    opset: check.integer('opset', options.opset ?? OPSETS.default, OPSETS.min, OPSETS.max),
    dynamicBatch: check.boolean('dynamicBatch', options.dynamicBatch ?? true),
    softmax: check.boolean('softmax', options.softmax ?? false),
    externalData: externalData === undefined ? undefined : check.boolean('externalData', externalData),
    allowUntrained: check.boolean('allowUntrained', options.allowUntrained ?? false),
  }
}

/** Protobuf's messages hold less than 2 GiB, and the network's description needs some of that. */
const MOST_BYTES = 2 ** 31 - 2 ** 24

/** Writes `path`, and the file beside it if that is needed. */
export async function exportOnnx(
  path: string,
  model: ExportedModel,
  options: ReturnType<typeof checkExportOptions>,
): Promise<void> {
  const { network, architecture, classes, preprocessing } = model
  const { opset, dynamicBatch, softmax } = options
  const { crop } = preprocessing
  const graph = await native().onnxGraph(network, crop, crop, opset)
  const output = softmax ? 'probabilities' : graph.output
  if (softmax)
    graph.operations.push({ type: 'Softmax', inputs: [graph.output], output, attributes: { axis: -1n } })

  const bytes = [...graph.tensors.values()].reduce((sum, { data }) => sum + data.byteLength, 0)
  const external: ExternalData | undefined =
    (options.externalData ?? bytes > MOST_BYTES)
      ? { location: `${basename(path)}.data`, chunks: [] }
      : undefined
  const batch = dynamicBatch ? 'batch' : 1
  const { encodeOnnx } = await import('./onnx.js') // brings the protobuf library, which little else needs
  const file = encodeOnnx(
    {
      graph,
      opset,
      name: architecture,
      input: { name: graph.input, dimensions: [batch, 3, crop, crop] },
      output: { name: output, dimensions: [batch, classes.length] },
      metadata: {
        architecture,
        classes: JSON.stringify(classes),
        preprocessing: JSON.stringify(preprocessing),
      },
    },
    external,
  )
  if (external !== undefined) {
    await replaceFile(`${path}.data`, async data => {
      for (const chunk of external.chunks) await data.writeFile(chunk)
    })
  }
  await replaceFile(path, file)
}
