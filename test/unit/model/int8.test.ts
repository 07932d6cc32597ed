import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { type Architecture, type CreateModelOptions, createModel } from '../../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { type ByteKernelSet, byteKernelSets, hasByteKernels } from '../../support/processor.js'
import { picture } from '../../support/serving.js'
import { skip } from '../../support/skip.js'

const SIZE = 64
// Values between two bytes may be rounded to either: 3e-4 for MobileNetV3, and less for the others.
const MOST_NOISE = 1e-3

/** Networks with all kinds of blocks that integers go through. */
const networks: [Architecture, CreateModelOptions?][] = [
  ['resnet18'],
  ['mobilenet_v2', { widthMult: 0.25 }],
  ['squeezenet1_1'],
  ['mobilenet_v3_small'],
  ['regnet_x_400mf'],
]

describe('a network in integers', function () {
  this.timeout(180_000)
  let folder: string
  const checkpoint = (name: string) => join(folder, `${name}.pth`)
  before(async () => {
    folder = await temporaryFolder()
    const images = await Promise.all([1, 2, 3, 4, 5, 6].map(seed => picture(seed, 'png', SIZE)))
    for (const [architecture, options] of networks) {
      using model = await createModel(architecture, { numClasses: 20, seed: 1, device: 'cpu', ...options })
      model.preprocessing = { ...model.preprocessing, resize: SIZE, crop: SIZE }
      using quantized = await model.quantize(images, { keep: 'none' })
      await quantized.save(checkpoint(architecture))
    }
  })
  after(removeTemporaryFolders)

  /** With kernels of this set. With 'onednn' there are none: integers are simulated in float32. */
  function logits(kernels: ByteKernelSet | 'onednn'): number[][] {
    const checkpoints = networks.map(([name]) => checkpoint(name))
    const child = ['--import', 'tsx', 'test/support/int8-child.ts', String(SIZE), ...checkpoints]
    const env = { ...process.env, VISIONTORCH_KERNELS: kernels }
    return JSON.parse(execFileSync(process.execPath, child, { env, encoding: 'utf8' }))
  }
  /** The sum of squares of the differences, as a share of that of the expected values. */
  const noise = (got: readonly number[], expected: readonly number[]) =>
    expected.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0) /
    expected.reduce((sum, value) => sum + value ** 2, 0)

  let simulated: number[][]
  for (const set of byteKernelSets)
    it(`computes with the kernels of ${set} what it computes in float32 with rounded values`, function () {
      if (!hasByteKernels(set)) skip(this, `this processor does not have ${set}`)
      simulated ??= logits('onednn')
      for (const [i, got] of logits(set).entries()) {
        const deviation = noise(got, simulated[i]!)
        assert.ok(deviation < MOST_NOISE, `${networks[i]![0]}: ${deviation}`)
      }
    })
})
