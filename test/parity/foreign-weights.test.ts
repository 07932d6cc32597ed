import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { readCheckpoint } from '../../lib/model/checkpoint.js'
import { createModel } from '../../lib/model/create-model.js'
import { native, type TensorData } from '../../lib/native/native.js'
import type { VisionTorchError } from '../../lib/util/errors.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, pythonEnvironment } from '../support/python.js'
import { hasShared, NO_SHARED, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'

interface Case {
  probabilities: number[] | null
  'torch.load(weights_only=True)': string
}

// The checkpoints that ../shared/cases/make.py writes, each with PyTorch's probabilities for a fixed input.
describe('weights as people save them, against PyTorch', function () {
  this.timeout(300_000)
  let folder: string
  let cases: Record<string, Case>
  let input: Float32Array
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    if (!hasShared) skip(this, NO_SHARED)
    folder = await temporaryFolder()
    const reference = join(import.meta.dirname, '../reference')
    const { status, stderr } = spawnSync(python!, [shared('cases/make.py'), folder], {
      encoding: 'utf8',
      env: { ...pythonEnvironment, VISIONTORCH_TEST_REFERENCE: reference },
    })
    assert.equal(status, 0, stderr)
    cases = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')).checkpoints
    input = ((await readCheckpoint(join(folder, 'checkpoints/input.pt'))) as TensorData).data as Float32Array
  })
  after(removeTemporaryFolders)

  async function probabilities(name: string): Promise<number[]> {
    const weights = join(folder, 'checkpoints', name)
    using model = await createModel(name.includes('r18') ? 'resnet18' : 'mobilenet_v2', {
      weights,
      device: 'cpu',
    })
    assert.equal(model.untrained, false)
    const batch = new (native().ImageBatch)(1, 224, 224, [0, 0, 0], [1, 1, 1])
    batch.setTensor(input)
    const logits = await model.network.forward(batch, 1, 'logits')
    const exponents = Array.from(logits, value => Math.exp(value - Math.max(...logits)))
    const sum = exponents.reduce((a, b) => a + b)
    return exponents.map(value => value / sum)
  }

  it('predict the same probabilities if its restricted loader reads them', async () => {
    for (const [name, { probabilities: expected, 'torch.load(weights_only=True)': reads }] of Object.entries(
      cases,
    )) {
      if (expected === null || reads !== 'reads') continue
      const ours = await probabilities(name).catch((error: VisionTorchError) => error)
      assert.ok(Array.isArray(ours), `${name}: ${ours}`)
      const difference = Math.max(...expected.map((value, i) => Math.abs(value - ours[i]!)))
      assert.ok(difference < 1e-6, `${name}: ${ours} instead of ${expected}`)
    }
  })

  it('are read without the Python objects in the file, which the load report names', async () => {
    const weights = join(folder, 'checkpoints/namespace.pth')
    using model = await createModel('mobilenet_v2', { weights, device: 'cpu' })
    assert.deepEqual(model.loadReport!.skipped, ['args (argparse.Namespace)'])
  })

  it('use the moving average', async () => {
    const weights = join(folder, 'checkpoints/timm_ema.pth.tar')
    using model = await createModel('mobilenet_v2', { weights, device: 'cpu' })
    const { wrapper, averaged, others } = model.loadReport!
    assert.deepEqual([wrapper, averaged, others], ['state_dict_ema', true, ['state_dict']])
  })

  it('are refused if they are not finite, and count as untrained without a classifier', async () => {
    await assert.rejects(probabilities('nan_variance.pth'), {
      code: 'ERR_NON_FINITE',
      message: /features\.18\.1\.running_var/,
    })
    const weights = join(folder, 'checkpoints/backbone_only_r18.pth')
    using model = await createModel('resnet18', { weights, device: 'cpu' })
    assert.equal(model.untrained, true)
  })
})
