import { basename, dirname, join } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { cannotRead, openRegular } from '../util/files.js'
import { printable } from '../util/text.js'
import {
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  fromBinary,
  type GraphProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
} from './libraries.js'

/** How a layer computes in integers. */
export interface LayerScales {
  /** The layer's name in the state dict. */
  name: string
  /** An input is inputScale * (byte - inputZeroPoint). */
  inputScale: number
  inputZeroPoint: number
  /** A weight is weightScale * integer: one scale for each output, or one for all. */
  weightScale: Float32Array
}

/**
 * Reads the scales of the layers of an ONNX file whose inputs and weights come from DequantizeLinear. The weights must have
 * their names in the state dict, as in files of {@link exportModel}, also after ONNX Runtime quantised them.
 * @throws VisionTorchError `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`; `ERR_CHECKPOINT_CORRUPT` if it is not such a file;
 * `ERR_CHECKPOINT_UNSUPPORTED` for asymmetric weights.
 */
export async function readScales(path: string): Promise<LayerScales[]> {
  const graph = parse(path, await readPart(path))
  const tensors = new Map(graph.initializer.map(tensor => [tensor.name, tensor]))
  const sources = new Map(graph.node.flatMap(node => node.output.map(output => [output, node])))
  const dequantized = (name: string | undefined) => {
    const node = sources.get(name ?? '')
    return node?.opType === 'DequantizeLinear' ? node : undefined
  }
  const refuse = (layer: string, what: string) =>
    new VisionTorchError(
      'ERR_CHECKPOINT_UNSUPPORTED',
      `${path}: ${printable(layer)}: ${what}. Quantise the weights as symmetric int8, and the inputs as uint8 or int8`,
    )

  /** The scale and the zero point of a DequantizeLinear. */
  const parameters = async (layer: string, { input: [, scaleName = '', zeroName = ''] }: NodeProto) => {
    const scale = await floats(path, tensors.get(scaleName))
    if (scale === undefined || scale.length === 0) throw refuse(layer, 'expected scales in float32')
    if (!scale.every(value => value > 0 && Number.isFinite(value) && Number.isFinite(Math.fround(1 / value))))
      throw refuse(layer, 'expected scales that are positive and finite')
    const zeroTensor = tensors.get(zeroName)
    if (zeroTensor === undefined) return { scale, zeros: Uint8Array.of(0), isSigned: false }
    const zeros = await bytes(path, zeroTensor)
    if (zeros === undefined) throw refuse(layer, 'expected zero points in 8 bits')
    return { scale, zeros, isSigned: zeroTensor.dataType === DataType.INT8 }
  }

  const layers: LayerScales[] = []
  for (const { opType, input } of graph.node) {
    if (opType !== 'Conv' && opType !== 'Gemm' && opType !== 'MatMul') continue
    const [x, weight] = [dequantized(input[0]), dequantized(input[1])]
    const name = /^(.+)\.weight(?:_quantized)?$/.exec(weight?.input[0] ?? '')?.[1]
    if (x === undefined || weight === undefined || name === undefined) continue
    const ofInput = await parameters(name, x)
    const ofWeight = await parameters(name, weight)
    if (ofInput.scale.length !== 1 || ofInput.zeros.length !== 1)
      throw refuse(name, "expected one scale and one zero point for the layer's input")
    if (!ofWeight.isSigned || ofWeight.zeros.some(zero => zero !== 0))
      throw refuse(name, 'expected weights in int8 with the zero point 0')
    layers.push({
      name,
      inputScale: ofInput.scale[0]!,
      inputZeroPoint: (ofInput.zeros[0]! + (ofInput.isSigned ? 128 : 0)) % 256,
      weightScale: ofWeight.scale,
    })
  }
  if (layers.length === 0)
    throw new VisionTorchError(
      'ERR_CHECKPOINT_MISMATCH',
      `${path}: found no quantised layer with a weight of this network. Name a file that model.export() wrote from a quantised model, or that ONNX Runtime's quantize_static wrote from an exported one`,
    )
  return layers
}

function parse(path: string, file: Uint8Array): GraphProto {
  try {
    const { graph } = fromBinary(ModelProtoSchema, file)
    if (graph !== undefined) return graph
  } catch {}
  throw new VisionTorchError('ERR_CHECKPOINT_CORRUPT', `${path}: expected an ONNX file. Check the path`)
}

async function floats(path: string, tensor: TensorProto | undefined): Promise<Float32Array | undefined> {
  if (tensor?.dataType !== DataType.FLOAT) return undefined
  if (tensor.floatData.length > 0) return Float32Array.from(tensor.floatData)
  const data = await contentOf(path, tensor)
  return data.length % 4 === 0 ? new Float32Array(Uint8Array.from(data).buffer) : undefined
}

/** Negative numbers as their two's complement. */
async function bytes(path: string, tensor: TensorProto): Promise<Uint8Array | undefined> {
  if (tensor.dataType !== DataType.UINT8 && tensor.dataType !== DataType.INT8) return undefined
  return tensor.int32Data.length > 0 ? Uint8Array.from(tensor.int32Data) : contentOf(path, tensor)
}

/** The bytes of a tensor, in the file or in the one next to it. */
async function contentOf(path: string, tensor: TensorProto): Promise<Uint8Array> {
  if (tensor.dataLocation !== DataLocation.EXTERNAL) return tensor.rawData
  const {
    location = '',
    offset = '0',
    length,
  } = Object.fromEntries(tensor.externalData.map(({ key, value }) => [key, value]))
  const size = Number(length)
  if (location !== basename(location) || !Number.isSafeInteger(size) || size < 0 || size > MOST_SCALES)
    throw new VisionTorchError(
      'ERR_CHECKPOINT_CORRUPT',
      `${path}: expected the tensor ${printable(tensor.name)} in a file next to it`,
    )
  return readPart(join(dirname(path), location), Number(offset), size)
}

/** The bytes of more scales than any layer has. */
const MOST_SCALES = 2 ** 24
/** The most bytes of a protobuf message. */
const MOST_BYTES = 2 ** 31 - 1

async function readPart(path: string, offset = 0, length?: number): Promise<Uint8Array> {
  const { file, size } = await openRegular(path).catch(error => Promise.reject(cannotRead(path, error)))
  try {
    const count = length ?? size
    if (count > MOST_BYTES || !(offset >= 0 && offset + count <= size))
      throw new VisionTorchError('ERR_CHECKPOINT_CORRUPT', `${path}: expected an ONNX file. Check the path`)
    const { bytesRead, buffer } = await file.read(new Uint8Array(count), 0, count, offset)
    return buffer.subarray(0, bytesRead)
  } catch (error) {
    throw cannotRead(path, error)
  } finally {
    await file.close()
  }
}
