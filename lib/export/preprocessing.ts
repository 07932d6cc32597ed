import type { Preprocessing } from '../image/preprocessing.js'
import { toSize } from '../image/size.js'
import type { OnnxGraph, OnnxOperation, TensorData } from '../native/native.js'

/** The numbers of the target types of conversions in ONNX's TensorProto.DataType. */
const Type = { float: 1n, int64: 7n, double: 11n } as const

/**
 * Puts the preprocessing before a graph. The result takes images of any size, [n, 3, height, width], with pixel values from
 * 0 to 255. See evalTransform() in image/transform.ts, which computes the same.
 *
 * ONNX's own Resize computes different pixels from Pillow's. Instead, an image is multiplied by two matrices, which hold
 * Pillow's weights for its columns and its rows and are computed from its size.
 */
export function withPreprocessing(graph: OnnxGraph, preprocessing: Readonly<Preprocessing>): OnnxGraph {
  const { mean, std, fill } = preprocessing
  const { width, height } = toSize(preprocessing.crop)
  const builder = new Builder()
  const { add, floats } = builder
  const size = add('Slice', [add('Shape', [graph.input]), builder.integers(2), builder.integers(4)])
  const { resized, begin, end, pads } = place(builder, size, preprocessing)

  const axis = (index: number) => {
    const of = (values: string) => add('Gather', [values, builder.integer(index)], { axis: 0n })
    return resampling(builder, of(size), of(resized), of(begin), of(end), preprocessing.interpolation)
  }
  const toBytes = (x: string) => {
    const rounded = add('Floor', [add('Add', [x, floats([0.5])])])
    return add('Clip', [rounded, floats([0]), floats([255])])
  }
  const columns = add('Transpose', [axis(1)], { perm: [1n, 0n] })
  const narrow = toBytes(add('MatMul', [graph.input, columns]))
  const image = toBytes(add('MatMul', [axis(0), narrow]))
  const color = floats(fill, [3, 1, 1])
  // Pad takes only one number for all channels.
  const square =
    pads === undefined
      ? image
      : add('Add', [add('Pad', [add('Sub', [image, color]), pads, floats([0])]), color])

  const scale = std.map(deviation => 1 / (255 * deviation))
  const shift = std.map((deviation, i) => -mean[i]! / deviation)
  const scaled = add('Mul', [square, floats(scale, [3, 1, 1])])
  const normalized = add('Add', [scaled, floats(shift, [3, 1, 1])])
  // The network takes images of this size. The Reshape says so, because shape inference cannot derive it.
  const fixed = add('Reshape', [normalized, builder.integers(-1, 3, height, width)])
  const network = graph.operations.map(operation => ({
    ...operation,
    inputs: operation.inputs.map(name => (name === graph.input ? fixed : name)),
  }))
  return {
    ...graph,
    operations: [...builder.operations, ...network],
    tensors: new Map([...builder.tensors, ...graph.tensors]),
  }
}

/** Appends operations and constants, and returns the names of their outputs. */
class Builder {
  readonly operations: OnnxOperation[] = []
  readonly tensors = new Map<string, TensorData>()

  add = (type: string, inputs: string[], attributes: OnnxOperation['attributes'] = {}): string => {
    const output = `preprocessing/${type}_${this.operations.length}`
    this.operations.push({ type, inputs, output, attributes })
    return output
  }
  cast = (x: string, type: bigint) => this.add('Cast', [x], { to: type })

  integer = (value: number) =>
    this.#constant({ dtype: 'int64', shape: [], data: BigInt64Array.of(BigInt(value)) })
  integers = (...values: number[]) =>
    this.#constant({ dtype: 'int64', shape: [values.length], data: BigInt64Array.from(values, BigInt) })
  double = (value: number) => this.#constant({ dtype: 'float64', shape: [], data: Float64Array.of(value) })
  /** A scalar, or a tensor of the given `shape`. */
  floats = (values: number[], shape: number[] = []) =>
    this.#constant({ dtype: 'float32', shape, data: Float32Array.from(values) })

  #constant(tensor: TensorData): string {
    const name = `preprocessing/constant_${this.tensors.size}`
    this.tensors.set(name, tensor)
    return name
  }
}

/** Names of tensors [height, width], int64. */
interface Placement {
  /** The size of the whole resized image. */
  resized: string
  /** The range of its pixels to compute. */
  begin: string
  end: string
  /** The padding around them, in the form that the operation Pad takes. */
  pads?: string
}

function place(builder: Builder, size: string, preprocessing: Readonly<Preprocessing>): Placement {
  const { resize, mode } = preprocessing
  const { width, height } = toSize(preprocessing.crop)
  const { add, cast, integers, double } = builder
  const target = integers(height, width)
  if (mode === 'squish') return { resized: target, begin: integers(0, 0), end: target }
  if (mode === 'pad' || mode === 'letterbox') {
    const scales = add('Div', [cast(target, Type.double), cast(size, Type.double)])
    const scaled = add('Mul', [cast(size, Type.double), add('ReduceMin', [scales])])
    const nearest = mode === 'pad' ? add('Add', [scaled, double(0.5)]) : scaled
    const rounded = cast(add('Floor', [nearest]), Type.int64)
    const fitted = add('Max', [rounded, integers(1)])
    const missing = add('Sub', [target, fitted])
    const before = add('Div', [missing, integers(2)])
    const parts = [integers(0, 0), before, integers(0, 0), add('Sub', [missing, before])]
    return { resized: fitted, begin: integers(0, 0), end: fitted, pads: add('Concat', parts, { axis: 0n }) }
  }
  const resized =
    typeof resize === 'number'
      ? add('Div', [add('Mul', [size, integers(resize)]), add('ReduceMin', [size])])
      : integers(...resize)
  const margin = cast(add('Sub', [resized, target]), Type.double)
  const begin = cast(add('Round', [add('Mul', [margin, double(0.5)])]), Type.int64) // halves to even
  return { resized, begin, end: add('Add', [begin, target]) }
}

/**
 * The matrix [end - begin, from] of the weights for resizing an axis from `from` to `to` pixels, for the resized pixels from
 * `begin` to `end`. The weights are Pillow's (src/libImaging/Resample.c). All arguments are names of integers.
 */
function resampling(
  { add, cast, double, integer, integers }: Builder,
  from: string,
  to: string,
  begin: string,
  end: string,
  interpolation: Preprocessing['interpolation'],
): string {
  const middles = (first: string, last: string, axis: number) => {
    const indices = cast(add('Range', [first, last, integer(1)]), Type.double)
    return add('Unsqueeze', [add('Add', [indices, double(0.5)]), integers(axis)])
  }
  const scale = add('Div', [cast(from, Type.double), cast(to, Type.double)])
  const centers = add('Mul', [middles(begin, end, 1), scale])
  const offsets = add('Sub', [middles(integer(0), from, 0), centers])
  const distances = add('Abs', [add('Div', [offsets, add('Max', [scale, double(1)])])])
  const near = add('Min', [distances, double(1)])
  const weights =
    interpolation === 'bilinear'
      ? add('Sub', [double(1), near])
      : // The two pieces of the bicubic filter are 0 at their ends.
        add('Add', [
          polynomial(near, 1.5, -2.5, 0, 1),
          polynomial(add('Min', [add('Max', [distances, double(1)]), double(2)]), -0.5, 2.5, -4, 2),
        ])
  const sums = add('ReduceSum', [weights, integers(1)])
  return cast(add('Div', [weights, sums]), Type.float)

  function polynomial(x: string, ...[first, ...others]: [number, ...number[]]): string {
    return others.reduce(
      (sum, coefficient) => add('Add', [add('Mul', [sum, x]), double(coefficient)]),
      double(first),
    )
  }
}
