import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { writeCheckpoint } from '../../../lib/model/checkpoint.js'
import { type CreateModelOptions, createModel, loadModel } from '../../../lib/model/create-model.js'
import type { Model } from '../../../lib/model/model.js'
import type { CheckpointValue, TensorData } from '../../../lib/native/native.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { tinyModel, tinyOptions } from '../../support/tiny-model.js'

type Dict = Map<CheckpointValue, CheckpointValue>
type StateDict = Map<string, TensorData>

const { classes: _, ...tiny } = tinyOptions
const dict = (entries: Record<string, CheckpointValue>): Dict => new Map(Object.entries(entries))
const floats = (shape: number[], value = 0.5): TensorData => ({
  dtype: 'float32',
  shape,
  data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value),
})
const prefixed = (prefix: string, weights: StateDict): StateDict =>
  new Map(Array.from(weights, ([name, tensor]) => [prefix + name, tensor]))
const without = (weights: StateDict, pattern: RegExp): StateDict =>
  new Map(Array.from(weights).filter(([name]) => !pattern.test(name)))

describe('the weights in a file', () => {
  let folder: string
  let original: Model
  let weights: StateDict
  before(async () => {
    folder = await temporaryFolder()
    original = await tinyModel({ seed: 3 })
    weights = await original.stateDict()
  })
  after(async () => {
    original.dispose()
    await removeTemporaryFolders()
  })

  let files = 0
  async function save(content: CheckpointValue): Promise<string> {
    const path = join(folder, `${files++}.pth`)
    await writeCheckpoint(path, content)
    return path
  }
  const load = async (content: CheckpointValue, options: CreateModelOptions = {}) =>
    createModel('mobilenet_v2', { ...tiny, weights: await save(content), ...options })

  async function assertSame(model: Model, expected: StateDict): Promise<void> {
    for (const [name, { data }] of await model.stateDict()) {
      assert.deepEqual(data, expected.get(name)!.data, name)
    }
  }

  describe('are found by the names of the tensors', () => {
    const places: [string, (w: StateDict) => CheckpointValue, string, string][] = [
      ['at the top', w => w, '', ''],
      ['under any key', w => dict({ epoch: 3, best_model: w }), 'best_model', ''],
      ['under several keys', w => dict({ run: dict({ nets: [dict({ a: w })] }) }), 'run/nets/?/a', ''],
      ['after any prefix', w => prefixed('student.backbone.', w), '', 'student.backbone.'],
      [
        'under a key and after a prefix',
        w => dict({ state_dict: prefixed('_orig_mod.module.', w) }),
        'state_dict',
        '_orig_mod.module.',
      ],
      [
        'among tensors of another kind',
        w => dict({ best_acc1: floats([]), rng_state: floats([16]), model: w, loss: floats([1]) }),
        'model',
        '',
      ],
      [
        'next to the weights of a loss',
        w => dict({ state_dict: new Map([...prefixed('model.', w), ['criterion.weight', floats([3])]]) }),
        'state_dict',
        'model.',
      ],
      [
        'next to a network that has fewer of them',
        w => dict({ teacher: without(w, /^classifier/), student: w }),
        'student',
        '',
      ],
    ]
    for (const [where, content, wrapper, prefix] of places) {
      it(where, async () => {
        using model = await load(content(weights))
        await assertSame(model, weights)
        const report = model.loadReport!
        assert.deepEqual([report.wrapper, report.prefix], [wrapper, prefix])
        assert.deepEqual([report.missing, report.unexpected, report.mismatched], [[], [], []])
        assert.deepEqual(model.classes, ['0', '1', '2'])
        assert.equal(model.untrained, false)
      })
    }

    it('in a dictionary for each part of the network', async () => {
      const part = (name: string) =>
        new Map(
          Array.from(weights).flatMap(([key, t]) =>
            key.startsWith(name) ? [[key.slice(name.length), t]] : [],
          ),
        )
      const content = dict({ features: part('features.') as Dict, head: dict({ x: floats([4]) }) })
      content.set('classifier', part('classifier.') as Dict)
      using model = await load(content)
      await assertSame(model, weights)
    })
  })

  describe('of a moving average', () => {
    const averaged = (w: StateDict): StateDict =>
      new Map(
        Array.from(w, ([name, t]) => [name, t.dtype === 'float32' ? floats(t.shape, 0.25) : t] as const),
      )

    for (const [raw, average] of [
      ['state_dict', 'state_dict_ema'],
      ['model', 'model_ema'],
      ['model', 'ema'],
      ['net', 'netEma'],
    ] as const) {
      it(`are preferred to raw ones: ${average}`, async () => {
        using model = await load(dict({ [raw]: weights, [average]: averaged(weights) }))
        const { wrapper, others, averaged: isAveraged } = model.loadReport!
        assert.deepEqual([wrapper, others, isAveraged], [average, [raw], true])
        assert.equal((await model.stateDict()).get('classifier.1.bias')!.data[0], 0.25)
      })
    }

    it("are also recognized by AveragedModel's counter", async () => {
      const counter: TensorData = { dtype: 'int64', shape: [], data: BigInt64Array.of(7n) }
      const swa = new Map([['n_averaged', counter], ...prefixed('module.', averaged(weights))])
      using model = await load(dict({ model: weights, swa_model: swa }))
      const { wrapper, prefix, skipped } = model.loadReport!
      assert.deepEqual([wrapper, prefix, skipped], ['swa_model', 'module.', ['n_averaged']])
    })

    it('are not preferred to raw ones if they are incomplete', async () => {
      const partial = without(averaged(weights), /running_/)
      using model = await load(dict({ state_dict_ema: partial, state_dict: weights }))
      assert.equal(model.loadReport!.wrapper, 'state_dict')
      assert.equal(model.loadReport!.averaged, false)
    })

    it('are not recognized by a word that merely contains "ema"', async () => {
      using model = await load(dict({ model: weights, schema: averaged(weights), cinema: weights }))
      assert.equal(model.loadReport!.wrapper, 'model')
    })
  })

  it("may have profilers' counters among them, which the report lists", async () => {
    const counted = new Map(weights)
    for (const name of ['total_ops', 'total_params', 'features.0.total_ops', 'classifier.1.total_params'])
      counted.set(name, { dtype: 'float64', shape: [1], data: Float64Array.of(1) })
    using model = await load(counted)
    assert.equal(model.loadReport!.skipped.length, 4)
    assert.deepEqual(model.loadReport!.unexpected, [])
  })

  it('may lack the counters of batch norms, like those of PyTorch before 0.4.1', async () => {
    using model = await load(without(weights, /num_batches_tracked/))
    assert.deepEqual(model.loadReport!.missing, [])
    assert.equal((await model.stateDict()).get('features.0.1.num_batches_tracked')!.data[0], 0n)
  })

  it('with their own mean and deviation are not loaded without these', async () => {
    const content = new Map(weights).set('mean', floats([1, 3, 1, 1])).set('std', floats([1, 3, 1, 1]))
    await assert.rejects(load(content), { code: 'ERR_CHECKPOINT_MISMATCH', message: /mean is unexpected/ })
  })

  describe('have a classifier', () => {
    const features = 1280
    const head = (layers: Record<string, number[]>, w: StateDict): StateDict => {
      const result = without(w, /^classifier/)
      for (const [name, shape] of Object.entries(layers)) result.set(name, floats(shape))
      return result
    }
    const linear = (name: string, outputs: number) => ({
      [`${name}.weight`]: [outputs, features],
      [`${name}.bias`]: [outputs],
    })

    for (const name of ['classifier', 'classifier.0', 'classifier.2', 'classifier.1.1', 'head', 'head.fc']) {
      it(`that was replaced by one linear layer: ${name}`, async () => {
        using model = await load(head(linear(name, 5), weights))
        assert.equal(model.numClasses, 5)
        assert.equal(model.untrained, false)
        assert.deepEqual(model.loadReport!.classifier, name)
        const classifier = (await model.stateDict()).get('classifier.1.weight')!
        assert.deepEqual([classifier.shape, classifier.data[7]], [[5, features], 0.5])
      })
    }

    it('without a bias', async () => {
      using model = await load(head({ 'classifier.1.weight': [4, features] }, weights))
      assert.equal(model.untrained, false)
      assert.deepEqual([...(await model.stateDict()).get('classifier.1.bias')!.data], [0, 0, 0, 0])
    })

    const refused: [string, Record<string, number[]>, RegExp][] = [
      [
        'of two layers',
        {
          'classifier.1.weight': [64, features],
          'classifier.1.bias': [64],
          ...{ 'classifier.4.weight': [3, 64] },
        },
        /its classifier is one linear layer \(classifier\.1\), and that of the file is classifier\.1 \(64x1280\), classifier\.4 \(3x64\)/,
      ],
      [
        'of other inputs',
        { 'head.weight': [3, 960], 'head.bias': [3] },
        /that of the file is head \(3x960\)/,
      ],
      [
        'with a batch norm',
        { 'head.0.weight': [features], 'head.0.bias': [features], ...linear('head.1', 3) },
        /that of the file is head\.1 \(3x1280\)/,
      ],
    ]
    for (const [what, layers, message] of refused) {
      it(`${what}, which is named`, async () => {
        const content = head(layers, weights)
        await assert.rejects(load(content), { code: 'ERR_CHECKPOINT_MISMATCH', message })
        using model = await load(content, { strict: false, classes: ['a', 'b', 'c'] })
        assert.equal(model.untrained, true)
      })
    }

    it('or none: then a new one is made', async () => {
      using model = await load(without(weights, /^classifier/), { classes: ['a', 'b'] })
      assert.equal(model.untrained, true)
      assert.deepEqual(model.loadReport!.missing, ['classifier.1.weight', 'classifier.1.bias'])
    })
  })

  describe('of another network are refused', () => {
    it('with the name of the network that they fit', async () => {
      using mobilenet = await createModel('mobilenet_v2', { numClasses: 2, device: 'cpu' })
      const path = join(folder, 'mobilenet.pth')
      await mobilenet.save(path, { format: 'state_dict' })
      await assert.rejects(createModel('resnet18', { weights: path }), {
        code: 'ERR_CHECKPOINT_MISMATCH',
        message:
          /mobilenet\.pth.*resnet18.*none of its tensors are among the 314 of the file \(features\.0\.0\.weight, .*look like the weights of mobilenet_v2/,
      })
    })

    it('with the nearest key', async () => {
      const renamed = new Map(
        Array.from(weights, ([name, t]) => [
          name.replace('18', '19').replace('.0.0.weight', '.0.0.weights'),
          t,
        ]),
      )
      await assert.rejects(load(renamed), {
        message: /features\.0\.0\.weight is missing \(the file has features\.0\.0\.weights\)/,
      })
    })

    it('without tensors, saying so', async () => {
      await assert.rejects(load(dict({ epoch: 3 })), { message: /the file holds no tensors/ })
    })
  })

  describe('that are not finite', () => {
    it('are refused, naming the first such tensor, even if ReLU would hide it', async () => {
      const broken = new Map(weights)
      for (const name of ['features.1.conv.0.1.running_var', 'classifier.1.bias']) {
        const { shape, data } = weights.get(name)!
        const values = Float32Array.from(data as Float32Array)
        values[0] = name.startsWith('f') ? Number.NaN : Infinity
        broken.set(name, { dtype: 'float32', shape, data: values })
      }
      await assert.rejects(load(broken), {
        code: 'ERR_NON_FINITE',
        message: /\.pth: features\.1\.conv\.0\.1\.running_var holds a number that is not finite/,
      })
      await assert.rejects(original.loadStateDict(await save(broken)), { code: 'ERR_NON_FINITE' })
      await assertSame(original, weights)
    })

    it('after conversion to float32 are refused, too', async () => {
      const huge = new Map(weights).set('classifier.1.bias', {
        dtype: 'float64',
        shape: [3],
        data: Float64Array.of(1, 1e300, 1),
      })
      await assert.rejects(load(huge), { code: 'ERR_NON_FINITE', message: /classifier\.1\.bias/ })
    })
  })

  describe('of our own', () => {
    const ours = (changes: Record<string, CheckpointValue>) =>
      dict({ architecture: 'mobilenet_v2', classes: ['a', 'b', 'c'], state_dict: weights, ...changes })
    const options = dict({ widthMult: 0.25, invertedResidualSetting: tiny.invertedResidualSetting })
    const wrong: [string, Record<string, CheckpointValue>, RegExp][] = [
      [
        'with more names than outputs',
        { options, classes: ['a', 'b', 'c', 'd'] },
        /names 4 classes, but its classifier has 3/,
      ],
      ['with an invalid name', { options, classes: ['a', 'b', 'x'.repeat(2000)] }, /at most 1000 characters/],
      ['with an invalid input size', { options, preprocessing: dict({ crop: 1e6 }) }, /preprocessing\.crop/],
      [
        'with options of a larger network',
        { options: dict({ widthMult: 16 }) },
        /expected the weights of mobilenet_v2/,
      ],
      [
        'with more blocks than tensors',
        { options: dict({ invertedResidualSetting: [[6, 16, 4000, 1]] }) },
        /expected at most \d+ blocks/,
      ],
    ]
    for (const [what, changes, message] of wrong) {
      it(`${what} are refused`, async () => {
        const path = await save(ours(changes))
        await assert.rejects(loadModel(path), { code: 'ERR_CHECKPOINT_MISMATCH', message })
        const relaxed = createModel('mobilenet_v2', { weights: path, strict: false })
        await assert.rejects(relaxed, { code: 'ERR_CHECKPOINT_MISMATCH', message })
      })
    }

    it('that claim to be a giant network cost neither time nor memory', async function () {
      this.timeout(60_000)
      const state_dict = dict({ x: floats([1]) })
      const claims: [string, Record<string, CheckpointValue>][] = [
        ['mobilenet_v2', { options: dict({ invertedResidualSetting: [[6, 65536, 2, 1]] }) }],
        [
          'mobilenet_v2',
          { options: dict({ invertedResidualSetting: [[1024, 65536, 1, 1]], widthMult: 16 }) },
        ],
        ['mobilenet_v2', { options: dict({ invertedResidualSetting: [[1, 8, 65536, 1]] }) }],
        ['mobilenet_v2', { options: dict({ widthMult: 16, roundNearest: 1024 }) }],
        ['resnet50', { options: dict({ groups: 4096, widthPerGroup: 4096 }) }],
        ['vgg16', { classes: Array.from({ length: 100_000 }, () => 'a') }],
      ]
      const paths: string[] = []
      for (const [architecture, claim] of claims)
        paths.push(await save(dict({ architecture, classes: ['a', 'b'], state_dict, ...claim })))
      const program = `
        import { readFileSync, statSync } from 'node:fs'
        import { loadModel } from './lib/model/create-model.js'
        const [first, ...paths] = ${JSON.stringify([await save(dict({})), ...paths])}
        await loadModel(first, { device: 'cpu' }).catch(() => {})
        const peak = () => Number(/VmHWM:\\s*(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]) / 1024
        const results = []
        for (const path of paths) {
          const [memory, start] = [peak(), performance.now()]
          const { code } = await loadModel(path, { device: 'cpu' }).then(() => ({ code: 'loaded' }), error => error)
          const size = statSync(path).size / 2 ** 20
          results.push([code, (performance.now() - start) / 1000, peak() - memory - size])
        }
        console.log(JSON.stringify(results))`
      const args = ['--import', 'tsx', '--input-type=module', '--eval', program]
      const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' })
      assert.equal(stderr, '')
      for (const [i, [code, seconds, mebibytes]] of JSON.parse(stdout).entries()) {
        assert.match(code, /^ERR_CHECKPOINT_(MISMATCH|CORRUPT)$/, claims[i]![0])
        assert.ok(seconds < 1 && mebibytes < 64, `${claims[i]![0]} ${i}: ${seconds} s, ${mebibytes} MiB`)
      }
    })
  })
})
