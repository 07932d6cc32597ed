import assert from 'node:assert/strict'
import { join } from 'node:path'
import { inspectCheckpoint, type VisionTorchError } from '../../lib/index.js'
import { createModel } from '../../lib/model/create-model.js'
import { hashTensors, type TensorHash } from '../support/checkpoint.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

describe('weights that Python programs save with other objects', function () {
  this.timeout(120_000)
  let folder: string
  let extras: string[]
  let weights: Record<string, TensorHash>
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
    extras = JSON.parse(runReference('plain_data.py', folder))
    weights = await load('numpy-float.pth')
  })
  after(removeTemporaryFolders)

  async function load(name: string): Promise<Record<string, TensorHash>> {
    using model = await createModel('squeezenet1_1', { weights: join(folder, name), device: 'cpu' })
    return hashTensors((await model.stateDict()) as never)
  }

  it('load; objects of other classes are skipped and listed, and calls of functions refused', async () => {
    const outcome: Record<string, string> = {}
    for (const name of extras) {
      const path = join(folder, `${name}.pth`)
      const loaded = await load(`${name}.pth`).catch((error: VisionTorchError) => error)
      if (loaded instanceof Error) {
        assert.match(loaded.message, /Nothing was run\. If you trust the file, .*: torch\.save\(/, name)
        outcome[name] = `${(loaded as VisionTorchError).code} ${/"(.*?)"/.exec(loaded.message)?.[1]}`
        continue
      }
      assert.deepEqual(loaded, weights, name)
      const { skipped } = await inspectCheckpoint(path)
      outcome[name] = skipped.map(({ name, type }) => `${name} ${type}`).join()
    }
    assert.deepEqual(outcome, {
      namespace: 'extra argparse.Namespace',
      nested: 'extra/a/0 argparse.Namespace',
      'simple-namespace': 'extra types.SimpleNamespace',
      config: 'extra project.config.Config',
      enum: 'extra project.config.Color',
      'int-enum': 'extra project.config.Level',
      dataclass: 'extra project.config.Hyper',
      stateful: 'extra project.config.Stateful',
      namedtuple: 'extra project.config.Pair',
      'attribute-dict': '',
      path: 'extra pathlib.PurePosixPath',
      datetime: 'extra datetime.datetime',
      decimal: 'extra decimal.Decimal',
      uuid: 'extra uuid.UUID',
      defaultdict: '',
      deque: '',
      partial: 'extra functools.partial',
      range: 'extra builtins.range',
      type: '', // read as its name
      function: 'extra project.config.make',
      loss: 'extra torch.nn.modules.loss.CrossEntropyLoss',
      optimizer: 'extra torch.optim.sgd.SGD',
      'numpy-float': '',
      'numpy-int': '',
      'numpy-bool': '',
      'numpy-array': '',
      'numpy-strings': 'extra numpy.ndarray',
      'numpy-state': '',
      made: 'ERR_CHECKPOINT_UNSAFE project.config.make',
      logger: 'ERR_CHECKPOINT_UNSAFE logging.getLogger',
      regex: 'ERR_CHECKPOINT_UNSAFE re._compile',
      builtin: 'ERR_CHECKPOINT_UNSAFE __builtin__.len',
    })
  })

  it('load from NumPy arrays', async () => {
    assert.deepEqual(await load('numpy-weights.pth'), weights)
  })

  it('load from a PyTorch Lightning checkpoint', async () => {
    assert.deepEqual(await load('lightning.ckpt'), weights)
    assert.deepEqual((await inspectCheckpoint(join(folder, 'lightning.ckpt'))).skipped, [
      { name: 'hyper_parameters/args', type: 'argparse.Namespace' },
      { name: 'datamodule_hyper_parameters/root', type: 'pathlib.PurePosixPath' },
    ])
  })

  it('load with the prefixes of wrappers', async () => {
    for (const prefix of [
      'module.',
      '_orig_mod.',
      'model.',
      'net.',
      'backbone.',
      'model._orig_mod.module.',
      'encoder.backbone.',
    ])
      assert.deepEqual(await load(`prefix-${prefix}pth`), weights, prefix)
  })
})
