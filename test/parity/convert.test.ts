import assert from 'node:assert/strict'
import { join } from 'node:path'
import {
  type CheckpointValue,
  type ConvertOptions,
  convertCheckpoint,
  inspectCheckpoint,
  readCheckpoint,
  type TensorData,
  writeCheckpoint,
} from '../../lib/index.js'
import { createModel, loadModel } from '../../lib/model/create-model.js'
import type { Model } from '../../lib/model/model.js'
import { hashTensors } from '../support/checkpoint.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

describe('converted checkpoints', function () {
  this.timeout(120_000)
  const architecture = 'mnasnet0_5' // which refuses a state dict without its version
  const classes = ['cat', 'リンゴ']
  let folder: string
  let model: Model
  let saved: string
  let state: Map<string, TensorData>
  before(async () => {
    folder = await temporaryFolder()
    saved = join(folder, 'model.pth')
    model = await createModel(architecture, { classes, seed: 1, device: 'cpu' })
    await model.save(saved)
    state = await model.stateDict()
  })
  after(async () => {
    model.dispose()
    await removeTemporaryFolders()
  })

  async function convert(name: string, options: ConvertOptions = {}, from = saved): Promise<string> {
    const path = join(folder, name)
    await convertCheckpoint(from, path, options)
    return path
  }
  const tensors = async (path: string) => {
    const content = (await readCheckpoint(path)) as Map<string, CheckpointValue>
    return (content.get('state_dict') ?? content) as Map<string, TensorData>
  }

  it('load in Python: legacy and zip files into torchvision with strict=True, safetensors as a state dict', async function () {
    if (!python) skip(this, NO_PYTHON)
    const files = [
      await convert('legacy.pth', { container: 'legacy' }),
      await convert('weights.pth', { container: 'legacy', format: 'state_dict' }),
      await convert('zip.pth', {}, await convert('model.safetensors')),
    ]
    const wanted = files.map(path => ({ path, architecture, kwargs: { num_classes: 2 } }))
    const loaded = JSON.parse(runReference('load_saved.py', JSON.stringify(wanted))) as {
      tensors: Record<string, string>
      metadata: { classes: string[] } | null
    }[]
    const expected = Object.fromEntries(
      Object.entries(hashTensors(state as never)).map(([name, { sha256 }]) => [name, sha256]),
    )
    for (const { tensors } of loaded) assert.deepEqual(tensors, expected)
    assert.deepEqual(
      loaded.map(({ metadata }) => metadata?.classes),
      [classes, undefined, classes],
    )
    const safetensors = JSON.parse(
      runReference('safetensors_files.py', 'read', join(folder, 'model.safetensors')),
    )
    assert.deepEqual(safetensors.tensors, hashTensors(state as never))
  })

  it('are the same model in every container', async () => {
    for (const container of ['zip', 'legacy', 'safetensors'] as const) {
      const path = await convert(`same-${container}`, { container })
      assert.equal((await inspectCheckpoint(path)).container, container)
      using loaded = await loadModel(path, { device: 'cpu' })
      assert.deepEqual([loaded.classes, loaded.preprocessing], [classes, model.preprocessing])
      assert.deepEqual(await loaded.stateDict(), state)
    }
  })

  it('keep the training state, except in safetensors files', async () => {
    const content = (await readCheckpoint(saved)) as Map<string, CheckpointValue>
    const trained = join(folder, 'last.pth')
    const optimizer = new Map<string, CheckpointValue>([['momentum', state.get('layers.0.weight')!]])
    await writeCheckpoint(
      trained,
      new Map<CheckpointValue, CheckpointValue>([...content, ['epoch', 3], ['optimizer', optimizer]]),
    )
    const legacy = await convert('last-legacy.pth', { container: 'legacy', dtype: 'float16' }, trained)
    const kept = (await readCheckpoint(legacy)) as Map<string, CheckpointValue>
    assert.deepEqual([kept.get('epoch'), kept.get('optimizer')], [3, optimizer])
    const again = await convert('last-zip.pth', {}, legacy)
    assert.equal((await tensors(again)).get('layers.0.weight')!.dtype, 'float16')
    const { metadata } = await inspectCheckpoint(await convert('last.safetensors', {}, trained))
    assert.doesNotMatch(
      JSON.stringify([...(metadata.get('__metadata__') as Map<string, string>)]),
      /optimizer/,
    )
  })

  it('have weights of the requested type, which a second conversion keeps', async () => {
    for (const [dtype, tolerance] of [
      ['float16', 2 ** -11],
      ['bfloat16', 2 ** -8],
    ] as const) {
      const half = await convert('again.safetensors', {}, await convert('half.pth', { dtype }))
      const types = (await inspectCheckpoint(half)).tensors.map(({ dtype }) => dtype)
      assert.deepEqual([...new Set(types)].sort(), [dtype, 'int64'].sort())
      using loaded = await loadModel(half, { device: 'cpu' })
      const name = 'classifier.1.weight'
      const [ours, theirs] = [
        (await loaded.stateDict()).get(name)!.data,
        state.get(name)!.data,
      ] as Float32Array[]
      for (const [i, value] of theirs!.entries())
        assert.ok(Math.abs(value - ours![i]!) <= Math.abs(value) * tolerance + 1e-7)
      assert.notDeepEqual(ours, theirs)
    }
    const large = new Map(state).set('layers.0.weight', {
      ...state.get('layers.0.weight')!,
      data: new Float32Array(432).fill(1e6),
    })
    const path = join(folder, 'large.pth')
    await writeCheckpoint(path, large)
    await assert.rejects(convert('x.pth', { dtype: 'float16' }, path), {
      code: 'ERR_NON_FINITE',
      message: /too large for .*bfloat16/,
    })
  })

  it('may lack the classifier', async () => {
    const path = await convert('backbone.pth', { classifier: false, format: 'state_dict' })
    assert.deepEqual(
      [...(await tensors(path)).keys()],
      [...state.keys()].filter(name => !name.startsWith('classifier.')),
    )
    using loaded = await createModel(architecture, { weights: path, numClasses: 5, device: 'cpu' })
    assert.equal(loaded.untrained, true)
  })

  it("of other programs get torchvision's names if the network is named", async () => {
    const foreign = join(folder, 'foreign.pth')
    const prefixed = new Map([...state].map(([name, tensor]) => [`module.${name}`, tensor]))
    await writeCheckpoint(
      foreign,
      new Map<string, CheckpointValue>([
        ['epoch', 3],
        ['model', prefixed],
      ]),
    )
    const path = await convert('plain.safetensors', { architecture }, foreign)
    assert.deepEqual(hashTensors(await readCheckpoint(path)), hashTensors(state as never))
    using loaded = await loadModel(await convert('ours.pth', { architecture, format: 'checkpoint' }, foreign))
    assert.deepEqual([loaded.architecture, loaded.numClasses], [architecture, 2])

    const copy = await convert('copy.pth', { container: 'legacy' }, foreign)
    assert.deepEqual(await readCheckpoint(copy), await readCheckpoint(foreign))
    const flat = join(folder, 'flat.pth')
    await writeCheckpoint(flat, prefixed)
    const flatCopy = (await readCheckpoint(await convert('flat.safetensors', {}, flat))) as Map<
      string,
      TensorData
    >
    assert.deepEqual(new Set(flatCopy.keys()), new Set(prefixed.keys()))
    assert.deepEqual(
      new Set(
        (
          (await readCheckpoint(await convert('flat2.pth', {}, join(folder, 'flat.safetensors')))) as Map<
            string,
            TensorData
          >
        ).keys(),
      ),
      new Set(prefixed.keys()),
    )
  })

  it('of other programs need the name of the network for conversions that depend on it', async () => {
    const foreign = join(folder, 'foreign.pth')
    for (const options of [
      { container: 'safetensors' },
      { format: 'state_dict' },
      { classifier: false },
      { names: 'timm' },
    ] as ConvertOptions[])
      await assert.rejects(convert('x.pth', options, foreign), {
        code: 'ERR_INVALID_ARGUMENT',
        message: /does not say which network it holds, on which \w+ depends/,
      })
  })
})
