import { type Size, toSize } from '../image/size.js'
import type { Model } from '../model/model.js'
import { abortable } from '../predict/abort.js'
import { finiteLogits } from '../predict/non-finite.js'
import { logits, mostProbable } from '../predict/predict.js'
import { packageManifest } from '../util/package.js'
import { printable } from '../util/text.js'
import { readBody } from './body.js'
import { badRequest, HttpError, notFound, tooLarge } from './errors.js'
import type { Lease } from './models.js'
import type { Service } from './service.js'
import {
  type InputTensor,
  inferResponse,
  type OutputTensor,
  parseInferRequest,
  type RequestedOutput,
} from './tensors.js'

// The Open Inference Protocol v2, which KServe, Triton and MLServer speak.

export const serverMetadata = () => ({
  name: 'visiontorch',
  version: packageManifest().version,
  extensions: ['binary_tensor_data', 'classification', 'model_repository'],
})

/** Leases the model in the path `/v2/models/{name}[/versions/{version}]`. A model has only one version at a time. */
export function useModel({ models }: Service, { name, version }: Record<string, string>): Lease {
  const lease = models.use(name ?? '')
  if (version === undefined || version === String(lease.version)) return lease
  lease[Symbol.dispose]()
  throw notFound(`there is no version ${printable(version, 40)} of ${lease.name}, only ${lease.version}`)
}

export function modelMetadata({ name, version, model }: Lease): object {
  const { height, width } = toSize(model.preprocessing.crop)
  const tensor = (name: string, datatype: string, shape: number[]) => ({ name, datatype, shape })
  return {
    name,
    versions: [String(version)],
    platform: 'visiontorch',
    inputs: [tensor('input', 'FP32', [-1, 3, height, width]), tensor('image', 'BYTES', [-1])],
    outputs: outputNames.map(output => tensor(output, 'FP32', [-1, model.numClasses])),
  }
}

const outputNames = ['logits', 'probabilities'] as const

/**
 * POST .../infer. The input is `input`, normalised images in the form that the network takes, or `image`, image files. The
 * outputs are `logits` and `probabilities`.
 */
export async function inferRoute(
  request: Request,
  parameters: Record<string, string>,
  service: Service,
  signal: AbortSignal,
): Promise<Response> {
  const { options, admission } = service
  using ticket = admission.admit()
  using lease = useModel(service, parameters)
  const { model } = lease
  const body = await readBody(request, { maxBytes: options.maxBodyBytes, ticket, signal })
  const size = toSize(model.preprocessing.crop)
  const headerLength = request.headers.get('inference-header-content-length')
  const { id, inputs, outputs, isBinary } = parseInferRequest(
    body,
    headerLength,
    options.maxFiles * 3 * size.height * size.width,
  )
  const [input] = inputs
  if (input === undefined || inputs.length > 1)
    throw badRequest(`expected one input, either 'input' or 'image', got ${inputs.length}`)
  const requested = checkOutputs(outputs, isBinary)
  const count = checkShape(input, size)
  if (count > options.maxFiles) throw tooLarge(`expected at most ${options.maxFiles} images, got ${count}`)
  ticket.addImages(count - 1)
  model.checkGivesProbabilities(options.allowUntrained)
  const rows = await compute(model, input, service, signal)
  const about = {
    model_name: lease.name,
    model_version: String(lease.version),
    ...(id !== undefined && { id }),
  }
  return inferResponse(
    about,
    requested.map(output => toTensor(output, rows, model)),
  )
}

/** The number of images in an input. */
function checkShape({ name, datatype, shape }: InputTensor, { height, width }: Size): number {
  const isInput = name === 'input' && datatype === 'FP32'
  const isImage = name === 'image' && datatype === 'BYTES'
  if (!isInput && !isImage)
    throw badRequest(
      `expected 'input' of type FP32 or 'image' of type BYTES, got '${printable(name, 40)}' of type ${datatype}`,
    )
  const sizes = isInput ? [3, height, width] : shape.length === 2 ? [1] : []
  const [count, ...rest] = shape
  if (count === undefined || count < 1 || rest.join() !== sizes.join()) {
    const expected = ['N', ...(isInput ? sizes : [])].join(', ')
    throw badRequest(`${name}: expected the shape [${expected}], got [${shape.join(', ')}]`)
  }
  return count
}

function checkOutputs(outputs: RequestedOutput[] | undefined, isBinary: boolean): RequestedOutput[] {
  if (outputs === undefined) return outputNames.map(name => ({ name, isBinary, classification: 0 }))
  for (const { name } of outputs) {
    if (!(outputNames as readonly string[]).includes(name))
      throw badRequest(`expected the outputs ${outputNames.join(' and ')}, got '${printable(name, 40)}'`)
  }
  return outputs
}

/** The logits of each image. */
async function compute(
  model: Model,
  input: InputTensor,
  { options }: Service,
  signal: AbortSignal,
): Promise<Float32Array[]> {
  const { batchSize, maxPixels } = options
  if (input.datatype === 'BYTES') return logits(model, input.values, { batchSize, maxPixels, signal })
  const { values } = input
  if (!values.every(Number.isFinite)) throw badRequest('input: expected finite numbers, got NaN or infinity')
  const { numClasses } = model
  const [total, ...sizes] = input.shape as [number, ...number[]]
  const imageSize = sizes.reduce((a, b) => a * b)
  const rows: Float32Array[] = []
  for (let at = 0; at < total; at += batchSize) {
    signal.throwIfAborted()
    const count = Math.min(batchSize, total - at)
    const batch = model.createBatch(count)
    batch.setTensor(values.subarray(at * imageSize, (at + count) * imageSize))
    model.noteBatch(count)
    const computed = await abortable(model.network.forward(batch, count, 'logits'), signal)
    await finiteLogits(model.network, computed)
    for (let i = 0; i < count; i++) rows.push(computed.subarray(i * numClasses, (i + 1) * numClasses))
  }
  return rows
}

function toTensor(
  { name, isBinary, classification }: RequestedOutput,
  rows: Float32Array[],
  model: Model,
): OutputTensor {
  const { classes } = model
  const values = rows.map(row => (name === 'logits' ? row : probabilities(row, classes)))
  if (classification > 0) {
    const k = Math.min(classification, classes.length)
    // Triton's format: the value, the index and the label.
    const texts = rows.flatMap((row, i) =>
      mostProbable(row, classes, k).map(
        ({ index, label }) => `${values[i]![index]!.toFixed(6)}:${index}:${label}`,
      ),
    )
    return { name, isBinary, shape: [rows.length, k], values: texts }
  }
  const all = new Float32Array(rows.length * classes.length)
  for (const [i, row] of values.entries()) all.set(row, i * classes.length)
  return { name, isBinary, shape: [rows.length, classes.length], values: all }
}

function probabilities(row: Float32Array, classes: readonly string[]): Float32Array {
  const scores = new Float32Array(row.length)
  for (const { index, score } of mostProbable(row, classes, row.length)) scores[index] = score
  return scores
}

/** POST /v2/repository/models/{name}/load reloads the model's own file. The request cannot name another file. */
export async function loadRoute({ name = '' }: Record<string, string>, service: Service): Promise<Response> {
  service.models.use(name)[Symbol.dispose]()
  if (service.reload === undefined)
    throw badRequest('this server cannot reload models, because they were passed to createHandler')
  try {
    await service.reload(name)
  } catch (error) {
    const message = `the file of '${name}' cannot be served; the old model stays in use. The log says why`
    throw new HttpError(500, 'ERR_INTERNAL', message, {}, { cause: error })
  }
  return Response.json({})
}

export const repositoryIndex = ({ models }: Service) =>
  models.names.map(name => {
    using lease = models.use(name)
    return { name, version: String(lease.version), state: 'READY', reason: '' }
  })
