import type { DType, OnnxGraph, OnnxOperation, TensorData } from '../native/native.js'
import { packageManifest } from '../util/package.js'
import {
  type AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  create,
  TensorProto_DataLocation as DataLocation,
  TensorProto_DataType as DataType,
  type MessageInitShape,
  ModelProtoSchema,
  type NodeProtoSchema,
  type TensorProtoSchema,
  toBinary,
  type ValueInfoProtoSchema,
} from './libraries.js'
import { IR_VERSIONS } from './opsets.js'

/** A float32 input or output: its name and dimensions. A string names a dimension of any size. */
export interface Port {
  name: string
  dimensions: readonly (number | string)[]
}

export interface OnnxModel {
  graph: OnnxGraph
  opset: number
  name: string
  input: Port
  output: Port
  metadata: Readonly<Record<string, string>>
}

/** Tensors in a file next to the model's file. */
export interface ExternalData {
  /** The file's name. */
  location: string
  chunks: Uint8Array[]
}

const TYPES: Partial<Record<DType, DataType>> = {
  float32: DataType.FLOAT,
  float64: DataType.DOUBLE,
  int64: DataType.INT64,
  int32: DataType.INT32,
  int8: DataType.INT8,
  uint8: DataType.UINT8,
}

/** Smaller tensors stay in the model's file, as with onnx.save(). */
const LEAST_EXTERNAL = 1024 // bytes
/** Tensors begin at a multiple of this, so that runtimes may map them into memory. */
const ALIGNMENT = 4096 // bytes

/** Returns the bytes of an ONNX file. If `external` is given, the large tensors go there. */
export function encodeOnnx(model: OnnxModel, external?: ExternalData): Uint8Array {
  const { graph, opset, name, input, output, metadata } = model
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: IR_VERSIONS[opset]!,
      opsetImport: [{ domain: '', version: BigInt(opset) }],
      producerName: 'visiontorch',
      producerVersion: packageManifest().version,
      metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
      graph: {
        name,
        input: [portOf(input)],
        output: [portOf(output)],
        node: graph.operations.map(nodeOf),
        initializer: [...graph.tensors].map(([of, tensor]) => tensorOf(of, tensor, external)),
      },
    }),
  )
}

function portOf({ name, dimensions }: Port): MessageInitShape<typeof ValueInfoProtoSchema> {
  const dim = dimensions.map(size => ({
    value:
      typeof size === 'string'
        ? ({ case: 'dimParam', value: size } as const)
        : ({ case: 'dimValue', value: BigInt(size) } as const),
  }))
  return {
    name,
    type: { value: { case: 'tensorType', value: { elemType: DataType.FLOAT, shape: { dim } } } },
  }
}

function nodeOf(operation: OnnxOperation): MessageInitShape<typeof NodeProtoSchema> {
  const { type, inputs, output, attributes } = operation
  return {
    name: output,
    opType: type,
    input: inputs,
    output: [output],
    attribute: Object.entries(attributes).map(([name, value]) => attributeOf(name, value)),
  }
}

function attributeOf(
  name: string,
  value: OnnxOperation['attributes'][string],
): MessageInitShape<typeof AttributeProtoSchema> {
  if (typeof value === 'string')
    return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value) }
  if (typeof value === 'bigint') return { name, type: AttributeType.INT, i: value }
  if (typeof value === 'number') return { name, type: AttributeType.FLOAT, f: value }
  return { name, type: AttributeType.INTS, ints: value }
}

function tensorOf(
  name: string,
  { dtype, shape, data }: TensorData,
  external: ExternalData | undefined,
): MessageInitShape<typeof TensorProtoSchema> {
  const tensor = {
    name,
    dims: shape.map(BigInt),
    dataType: TYPES[dtype]!,
  }
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  if (external === undefined || bytes.length < LEAST_EXTERNAL) return { ...tensor, rawData: bytes }
  const end = external.chunks.reduce((sum, chunk) => sum + chunk.length, 0)
  const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT
  external.chunks.push(new Uint8Array(offset - end), bytes)
  return {
    ...tensor,
    dataLocation: DataLocation.EXTERNAL,
    externalData: [
      { key: 'location', value: external.location },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(bytes.length) },
    ],
  }
}
