import { is, show } from '../util/is.js'
import { printable } from '../util/text.js'
import { decodeBase64, parseJson } from './body.js'
import { badRequest } from './errors.js'

// The tensors of the Open Inference Protocol v2, as JSON and in its binary extension:
// https://github.com/kserve/open-inference-protocol

/** The size limit of the JSON in a request whose tensors are binary. */
const MOST_HEADER_BYTES = 1 << 20

/** A tensor of a request, whose shape matches its values. */
export type InputTensor = { name: string; shape: number[] } & (
  | { datatype: 'FP32'; values: Float32Array }
  | { datatype: 'BYTES'; values: Uint8Array[] }
)

export interface RequestedOutput {
  name: string
  isBinary: boolean
  /** How many classes to return as `score:index:label`; 0 returns all values instead. */
  classification: number
}

export interface InferRequest {
  id: string | undefined
  inputs: InputTensor[]
  /** The requested outputs; undefined means all outputs of the model. */
  outputs: RequestedOutput[] | undefined
  /** Whether outputs are binary by default. */
  isBinary: boolean
}

export interface OutputTensor {
  name: string
  shape: number[]
  isBinary: boolean
  values: Float32Array | string[]
}

/**
 * Parses the body of a request.
 * @param headerLength The header `Inference-Header-Content-Length`; null if the whole body is JSON.
 * @param maxValues The largest number of values in its tensors.
 * @throws HttpError 400 or 413
 */
export function parseInferRequest(
  body: Buffer,
  headerLength: string | null,
  maxValues: number,
): InferRequest {
  const length = headerLength === null ? body.length : Number(headerLength)
  if (
    headerLength !== null &&
    (!/^\d+$/.test(headerLength) || length > Math.min(body.length, MOST_HEADER_BYTES))
  ) {
    throw badRequest(
      `Inference-Header-Content-Length: expected a length within the body, and of at most ${MOST_HEADER_BYTES} bytes, ` +
        `got '${printable(headerLength, 40)}'`,
    )
  }
  const request = parseJson(body.subarray(0, length), maxValues + 10_000)
  if (!is.object(request) || !Array.isArray(request.inputs))
    throw badRequest('expected a JSON object with inputs, an array of tensors')
  const binary = new BinaryReader(body.subarray(length))
  const inputs = request.inputs
    .slice(0, 100)
    .map((input, index) => parseInput(`inputs[${index}]`, input, binary))
  if (binary.left > 0)
    throw badRequest(`expected as many bytes as the tensors declare, got ${binary.left} more`)
  const parameters = is.object(request.parameters) ? request.parameters : {}
  const isBinary = parameters.binary_data_output === true
  return { id: parseId(request.id), inputs, outputs: parseOutputs(request.outputs, isBinary), isBinary }
}

class BinaryReader {
  #at = 0

  constructor(private readonly bytes: Buffer) {}

  get left(): number {
    return this.bytes.length - this.#at
  }

  take(name: string, count: unknown): Buffer {
    if (!is.integer(count) || count < 0 || count > this.left)
      throw badRequest(
        `${name}: expected binary_data_size of at most ${this.left}, the bytes left, got ${show(count)}`,
      )
    this.#at += count
    return this.bytes.subarray(this.#at - count, this.#at)
  }
}

function parseId(id: unknown): string | undefined {
  if (id === undefined || id === '') return undefined
  if (typeof id !== 'string' || id.length > 1000)
    throw badRequest('id: expected a string of at most 1000 characters')
  return id
}

function parseInput(at: string, input: unknown, binary: BinaryReader): InputTensor {
  if (!is.object(input) || !is.string(input.name)) throw badRequest(`${at}: expected a tensor with a name`)
  const name = input.name
  const { shape, datatype, data, parameters } = input
  const isSize = (size: unknown) => is.integer(size) && size >= 0 && size < 2 ** 31
  if (!Array.isArray(shape) || shape.length === 0 || shape.length > 8 || !shape.every(isSize))
    throw badRequest(`${at}.shape: expected an array of sizes, got ${show(shape)}`)
  const count: number = shape.reduce((a, b) => a * b, 1)
  const size = is.object(parameters) ? parameters.binary_data_size : undefined
  const bytes = size === undefined ? undefined : binary.take(at, size)
  if (bytes === undefined && !Array.isArray(data))
    throw badRequest(`${at}.data: expected an array, or binary_data_size in the parameters`)
  const check = (got: number) => {
    if (got !== count) throw badRequest(`${at}: expected ${count} values for its shape, got ${got}`)
  }
  if (datatype === 'FP32') {
    if (bytes !== undefined) {
      check(bytes.length / 4)
      // Make a copy, because the bytes in a body may not be aligned for floats.
      const copy = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) as ArrayBuffer
      return { name, shape, datatype, values: new Float32Array(copy) }
    }
    const numbers: number[] = []
    flatten(at, data as unknown[], shape.length, numbers)
    check(numbers.length)
    return { name, shape, datatype, values: Float32Array.from(numbers) }
  }
  if (datatype === 'BYTES') {
    const values =
      bytes !== undefined
        ? splitStrings(at, bytes)
        : (data as unknown[]).map((text, index) => {
            if (typeof text !== 'string')
              throw badRequest(`${at}.data[${index}]: expected base64, got ${show(text)}`)
            return decodeBase64(`${at}.data[${index}]`, text)
          })
    check(values.length)
    return { name, shape, datatype, values }
  }
  throw badRequest(`${at}.datatype: expected FP32 or BYTES, got ${show(datatype)}`)
}

/** Reads numbers from a flat array, or from one that is nested like the shape. */
function flatten(at: string, data: readonly unknown[], depth: number, into: number[]): void {
  for (const value of data) {
    if (typeof value === 'number') into.push(value)
    else if (Array.isArray(value) && depth > 1) flatten(at, value, depth - 1, into)
    else throw badRequest(`${at}.data: expected numbers, got ${show(value)}`)
  }
}

/** Reads elements of type BYTES. Each is preceded by its length in four bytes. */
function splitStrings(at: string, bytes: Buffer): Buffer[] {
  const strings: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = start + 4 + (start + 4 <= bytes.length ? bytes.readUInt32LE(start) : Infinity)
    if (end > bytes.length)
      throw badRequest(`${at}: expected elements preceded by their lengths, got one that is cut off`)
    strings.push(bytes.subarray(start + 4, end))
    start = end
  }
  return strings
}

function parseOutputs(outputs: unknown, isBinary: boolean): RequestedOutput[] | undefined {
  if (outputs === undefined) return undefined
  if (!Array.isArray(outputs) || outputs.length > 100) throw badRequest('outputs: expected an array')
  return outputs.map((output, index) => {
    if (!is.object(output) || !is.string(output.name))
      throw badRequest(`outputs[${index}]: expected an object with a name`)
    const { binary_data = isBinary, classification = 0 } = is.object(output.parameters)
      ? output.parameters
      : {}
    if (!is.integer(classification) || classification < 0)
      throw badRequest(
        `outputs[${index}]: classification: expected a number of classes, got ${show(classification)}`,
      )
    return { name: output.name, isBinary: binary_data === true, classification }
  })
}

/** Creates the response, with its tensors in the JSON or, if they are binary, after it. */
export function inferResponse(about: object, outputs: readonly OutputTensor[]): Response {
  const binary: Buffer[] = []
  const described = outputs.map(({ name, shape, isBinary, values }) => {
    const datatype = values instanceof Float32Array ? 'FP32' : 'BYTES'
    if (!isBinary) return { name, shape, datatype, data: Array.from<unknown>(values) }
    const bytes = values instanceof Float32Array ? Buffer.from(values.slice().buffer) : joinStrings(values)
    binary.push(bytes)
    return { name, shape, datatype, parameters: { binary_data_size: bytes.length } }
  })
  const body = { ...about, outputs: described }
  if (binary.length === 0) return Response.json(body)
  const json = Buffer.from(JSON.stringify(body))
  return new Response(Buffer.concat([json, ...binary]), {
    headers: {
      'content-type': 'application/octet-stream',
      'inference-header-content-length': String(json.length),
    },
  })
}

function joinStrings(strings: readonly string[]): Buffer {
  return Buffer.concat(
    strings.flatMap(text => {
      const bytes = Buffer.from(text)
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.length)
      return [length, bytes]
    }),
  )
}
