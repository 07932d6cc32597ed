import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from '../../lib/model/architectures.js'
import { createModel } from '../../lib/model/create-model.js'
import { type NetworkOptions, native } from '../../lib/native/native.js'
import { plainSgd } from './plain-sgd.js'

/** A network of test/reference/gradients.py, whose weights, images and gradients lie in the same folder. */
export interface GradientCase {
  name: string
  architecture: Architecture
  /** The constructor's: without dropout and stochastic depth. */
  options: NetworkOptions
  shape: [number, number, number]
  loss: number
  parameters: [name: string, values: number][]
  /** The difference between PyTorch's losses in float32 and in float64. */
  float32Loss: number
  /** For each parameter, the largest difference between PyTorch's gradients in float32 and in float64. */
  float32: number[]
  /** For each parameter, the deviation of PyTorch's gradient in bfloat16 from that in float64. */
  bfloat16: number[]
  /** The same for all parameters together. */
  bfloat16All: number
}

interface Gradient {
  name: string
  values: Float64Array
  /** PyTorch's in float64. */
  expected: Float32Array
}

/** The loss of one training step, and the gradient of each parameter next to PyTorch's. */
export async function gradientsOf(
  folder: string,
  { name, architecture, options, shape, parameters }: GradientCase,
  dtype: 'float32' | 'bfloat16',
): Promise<{ loss: number; gradients: Gradient[] }> {
  using model = await createModel(architecture, {
    weights: join(folder, `${name}.pth`),
    numClasses: 10,
    device: 'cpu',
    ...options,
  })
  const batch = new (native().ImageBatch)(...shape, [0, 0, 0], [1, 1, 1])
  batch.setTensor(floats(join(folder, `${name}.images.f32`)))
  const before = await model.network.stateDict()
  const trainer = await native().createTrainer(model.network, { ...plainSgd, dtype })
  // With so large a rate, the difference of the weights is the gradient rather than rounding.
  const learningRate = 256
  const labels = Int32Array.from({ length: shape[0] }, (_, i) => i % 10)
  const { loss } = await trainer.step(batch, labels, {
    learningRate,
    seed: 0,
    scale: 1,
    update: true,
    mixed: null,
  })

  const after = await model.network.stateDict()
  const expected = floats(join(folder, `${name}.gradients.f32`))
  let offset = 0
  const gradients = parameters.map(([name, count]) => {
    const [from, to] = [before, after].map(weights => weights.get(name)!.data as Float32Array) as [
      Float32Array,
      Float32Array,
    ]
    // Loops by index, here and below: VGG has 129 million values.
    const values = new Float64Array(count)
    for (let i = 0; i < count; i++) values[i] = (from[i]! - to[i]!) / learningRate
    offset += count
    return { name, values, expected: expected.subarray(offset - count, offset) }
  })
  return { loss, gradients }
}

/** Fails unless each gradient is within 1e-4 of its largest value, or as near to float64 as PyTorch's in float32. */
export async function checkFloat32(folder: string, testCase: GradientCase): Promise<void> {
  const { loss, gradients } = await gradientsOf(folder, testCase, 'float32')
  const { loss: wanted, float32Loss, float32 } = testCase
  assert.ok(
    Math.abs(loss - wanted) <= Math.max(2e-5 * wanted, 6 * float32Loss),
    `loss ${loss}, PyTorch ${wanted}`,
  )
  for (const [p, { name, values, expected }] of gradients.entries()) {
    let [largest, difference] = [0, 0]
    for (let i = 0; i < expected.length; i++) {
      largest = Math.max(largest, Math.abs(expected[i]!))
      difference = Math.max(difference, Math.abs(expected[i]! - values[i]!))
    }
    // A gradient that is zero except for rounding, such as that of a bias before a batch norm, has no digits to compare.
    const tolerance = Math.max(1e-4 * largest, 6 * float32[p]!, 3e-8)
    assert.ok(difference <= tolerance, `${name}: ${difference} of ${largest}, PyTorch ${float32[p]}`)
  }
}

function floats(path: string): Float32Array {
  const { buffer, byteOffset, length } = readFileSync(path)
  return new Float32Array(buffer.slice(byteOffset, byteOffset + length))
}
