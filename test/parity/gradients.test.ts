import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { runtimeInfo } from '../../lib/native/runtime.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { checkFloat32, type GradientCase, gradientsOf } from '../support/gradients.js'
import { hasKernels } from '../support/processor.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

const names = [
  'resnet18',
  'resnet50',
  'vgg11',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'efficientnet_b0',
  'efficientnet_v2_s',
  'regnet_x_400mf',
  'regnet_y_400mf',
  'densenet121',
  'mnasnet0_5',
  'shufflenet_v2_x0_5',
  'squeezenet1_1',
  'alexnet',
  'googlenet',
  'inception_v3',
  'convnext_tiny',
  'vit_b_16',
  'swin_t',
  'swin_v2_t',
  'maxvit_t',
]
/**
 * Larger variants, for `npm test -- --large`. Of DenseNets larger than 121, every draw of images has a value near a kink of one of
 * the many ReLUs.
 */
const larger = [
  'resnet101',
  'vgg19_bn',
  'mobilenet_v3_large',
  'efficientnet_b4',
  'efficientnet_v2_m',
  'regnet_x_3_2gf',
  'regnet_y_3_2gf',
  'mnasnet1_3',
  'shufflenet_v2_x2_0',
  'squeezenet1_0',
  'convnext_base',
  'vit_l_16',
  'swin_b',
  'swin_v2_b',
]
const isLarge = process.env.VISIONTORCH_TEST_LARGE !== undefined
/** Networks some of whose gradients are sums of so few values that rounding to bfloat16 dominates. */
const rounded = new Set([
  'mobilenet_v3_small',
  'efficientnet_b0',
  'efficientnet_v2_s',
  'regnet_x_400mf',
  'regnet_y_400mf',
  'shufflenet_v2_x0_5',
  'maxvit_t',
])
const ofEveryBlock = [
  'resnet18',
  'vgg11',
  'mobilenet_v2',
  'mobilenet_v3_small',
  'efficientnet_b0',
  'regnet_y_400mf',
  'densenet121',
  'shufflenet_v2_x0_5',
  'googlenet',
  'convnext_tiny',
  'vit_b_16',
  'swin_t',
]
// Here, 3 x 3 convolutions have enough tiles for Winograd filtering.
const large = 'resnet18, large batch'

describe(`the gradients of one training step, against PyTorch in float64`, function () {
  this.timeout(600_000)
  let folder: string
  let cases: GradientCase[]
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
    const printed = runReference('gradients.py', folder, ...names, large, ...(isLarge ? larger : []))
    writeFileSync(join(folder, 'cases.json'), printed)
    cases = JSON.parse(printed)
  })
  after(removeTemporaryFolders)

  const caseOf = (name: string) => cases.find(c => c.name === name)!

  for (const name of [...names, ...larger])
    it(`${name}: are within 1e-4 of each parameter's largest, or as close as PyTorch's in float32`, async function () {
      if (larger.includes(name) && !isLarge) skip(this, 'slow (npm test -- --large)')
      await checkFloat32(folder, caseOf(name))
    })

  for (const kernels of ['avx512', 'avx2', 'onednn'] as const)
    it(`with the kernels ${kernels}: are as close in networks of every kind of block`, function () {
      if (kernels !== 'onednn' && !hasKernels(kernels)) skip(this, `this processor does not have ${kernels}`)
      const child = ['--import', 'tsx', 'test/support/gradients-child.ts', folder, ...ofEveryBlock]
      const env = { ...process.env, VISIONTORCH_KERNELS: kernels }
      const failed = JSON.parse(execFileSync(process.execPath, child, { env, encoding: 'utf8' }))
      assert.deepEqual(failed, {})
    })

  // Rounding decides most of AlexNet's first bias, whose gradients are 64 sums of few values, and of Inception's last.
  const inBfloat16 = names.filter(each => each !== 'alexnet' && each !== 'inception_v3')
  for (const name of [...inBfloat16, large])
    it(`${name}, in bfloat16: deviate at most 1.5 times as much as PyTorch's`, async function () {
      if (!runtimeInfo().bfloat16) skip(this, 'this processor does not have avx512_bf16')
      const { gradients } = await gradientsOf(folder, caseOf(name), 'bfloat16')
      const all = { difference: 0, size: 0 }
      for (const [p, { name: parameter, values, expected }] of gradients.entries()) {
        let [difference, size] = [0, 0]
        for (let i = 0; i < expected.length; i++) {
          difference += (expected[i]! - values[i]!) ** 2
          size += expected[i]! ** 2
        }
        const deviation = Math.sqrt(difference / size)
        const wanted = caseOf(name).bfloat16[p]!
        // A gradient that is mostly rounding in PyTorch, too, cannot be compared by itself.
        const isNoise = rounded.has(name) && wanted > 0.25
        const most = Math.max((rounded.has(name) ? 4 : 1.5) * wanted, 0.01)
        assert.ok(isNoise || deviation <= most, `${parameter}: ${deviation}, PyTorch ${wanted}`)
        all.difference += difference
        all.size += size
      }
      const deviation = Math.sqrt(all.difference / all.size)
      const wanted = caseOf(name).bfloat16All
      assert.ok(deviation <= 1.5 * wanted, `all: ${deviation}, PyTorch ${wanted}`)
    })
})
