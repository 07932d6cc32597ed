import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import { type Architecture, families, familyOf } from '../../../lib/model/architectures.js'
import { resolveOptions, type TrainOptions } from '../../../lib/train/options.js'
import { optionTable } from '../../../lib/train/table.js'

const resolve = (options: Partial<TrainOptions> = {}) => resolveOptions({ data: 'photos', ...options })
const refused = (options: Record<string, unknown>, message: RegExp) =>
  assert.throws(() => resolve(options), { name: 'VisionTorchError', code: 'ERR_INVALID_ARGUMENT', message })

describe('training options', () => {
  it('all have a default', () => {
    const options = resolve()
    assert.deepEqual(Object.keys(options), Object.keys(optionTable))
    assert.deepEqual(options.optimizer, {
      name: 'sgd',
      momentum: 0.9,
      dampening: 0,
      nesterov: false,
      weightDecay: 1e-4,
    })
    assert.equal(options.learningRate, 0.01)
    assert.equal(options.freezeBatchSize, options.batchSize)
  })

  it('have defaults that depend on each other', () => {
    const options = resolve({ optimizer: 'adam', batchSize: 8, freezeLearningRate: 0.1 })
    assert.equal(options.learningRate, 0.001)
    assert.equal(options.freezeBatchSize, 8)
    assert.equal(options.freezeLearningRate, 0.1)
  })

  it('complete an optimizer or a schedule given as an object', () => {
    assert.deepEqual(resolve({ optimizer: { name: 'adamw', weightDecay: 0.05 } }).optimizer, {
      name: 'adamw',
      betas: [0.9, 0.999],
      eps: 1e-8,
      weightDecay: 0.05,
    })
    assert.deepEqual(resolve({ schedule: { name: 'step', stepSize: 3 } }).schedule, {
      name: 'step',
      stepSize: 3,
      gamma: 0.1,
    })
  })

  const withLayerNorms = ['convnext', 'maxvit', 'swin_transformer', 'vision_transformer']
  for (const { name, architectures } of families()) {
    const optimizer = withLayerNorms.includes(name) ? 'adamw' : 'sgd'
    it(`default to ${optimizer === 'sgd' ? 'SGD' : 'AdamW with a warm-up'} for the family ${name}`, () => {
      for (const architecture of architectures) {
        const family = familyOf(architecture as Architecture).name
        const options = resolveOptions({ data: 'photos', epochs: 30 }, family)
        assert.equal(options.optimizer.name, optimizer)
        const { learningRate, warmupEpochs, normWeightDecay, clipGradNorm } = options
        assert.deepEqual(
          { learningRate, warmupEpochs, normWeightDecay, clipGradNorm },
          optimizer === 'adamw'
            ? { learningRate: 1e-4, warmupEpochs: 3, normWeightDecay: 0, clipGradNorm: 1 }
            : { learningRate: 0.01, warmupEpochs: 0, normWeightDecay: null, clipGradNorm: null },
        )
      }
    })
  }

  it('give AdamW the weight decay of torchvision for networks with layer norms', () => {
    const { optimizer } = resolveOptions({ data: 'photos' }, 'vision_transformer')
    assert.deepEqual(optimizer, { name: 'adamw', betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0.05 })
  })

  it('give an explicitly chosen optimizer of such a network its own defaults', () => {
    const options = resolveOptions({ data: 'photos', optimizer: 'sgd' }, 'vision_transformer')
    assert.equal(options.optimizer.name, 'sgd')
    assert.equal(options.learningRate, 0.01)
    const preset = 'classification-pytorch'
    assert.equal(resolveOptions({ data: 'photos', preset }, 'vision_transformer').optimizer.name, 'sgd')
  })

  it('freeze the classifier, a number of stages, or a prefix', () => {
    for (const freeze of ['classifier', 3, 'layer1.'] as const)
      assert.equal(resolve({ freeze }).freeze, freeze)
    refused({ freeze: -1 }, /^freeze: expected an integer from 0/)
    refused({ freeze: true }, /^freeze: expected/)
    refused({ layerDecay: 1.5 }, /^layerDecay: expected a number above 0, at most 1, got 1.5/)
  })

  it('have the defaults of a preset, unless they are given', () => {
    const preset = 'classification-pytorch'
    const options = resolve({ preset, epochs: 40, optimizer: { name: 'sgd', momentum: 0.8 } })
    assert.equal(options.preset, preset)
    assert.equal(options.freezeEpochs, 10)
    assert.equal(options.minLearningRate, 1e-4)
    assert.equal(options.monitor, 'loss')
    assert.deepEqual(options.optimizer, {
      name: 'sgd',
      momentum: 0.8,
      dampening: 0,
      nesterov: true,
      weightDecay: 5e-4,
    })
  })

  it("accept 'seed' as the preset's name, with one deprecation warning", async () => {
    const warnings: (Error & { code?: string })[] = []
    const listen = (warning: Error) => warnings.push(warning)
    process.on('warning', listen)
    for (let i = 0; i < 2; i++)
      assert.deepEqual(resolve({ preset: 'seed' }), resolve({ preset: 'classification-pytorch' }))
    await turn()
    process.off('warning', listen)
    assert.deepEqual(
      warnings.map(({ name, code }) => [name, code]),
      [['DeprecationWarning', 'VISIONTORCH_PRESET_SEED']],
    )
  })

  it('are refused when they are misspelt, out of range or contradictory', () => {
    refused({ epocs: 3 }, /unknown option 'epocs'. Did you mean 'epochs'\?/)
    refused({ preset: 'sead' }, /preset: expected one of classification-pytorch, got 'sead'/)
    refused({ epochs: 0 }, /epochs: expected an integer of at least 1, got 0/)
    refused(
      { optimizer: 'sdg' },
      /optimizer: expected one of sgd, adam, adamw, got 'sdg'. Did you mean 'sgd'\?/,
    )
    refused({ optimizer: { name: 'adam', momentum: 0.9 } }, /optimizer: unknown option 'momentum'/)
    refused({ optimizer: { name: 'sgd', nesterov: true, momentum: 0 } }, /nesterov: expected a momentum/)
    refused({ learningRate: Number.NaN }, /learningRate: expected a number above 0, got NaN/)
    refused({ epochs: 2, warmupEpochs: 2 }, /warmupEpochs: expected less than epochs \(2\), got 2/)
    refused({ epochs: 2, freezeEpochs: 3 }, /freezeEpochs: expected at most epochs \(2\), got 3/)
    refused({ classWeights: [1, -1] }, /classWeights\[1\]: expected a number above 0, got -1/)
    refused({ keep: 2 }, /keep: expected saveEvery as well/)
  })

  it('are written on the command line as words', () => {
    const { augmentation, optimizer, clipGradNorm, classWeights } = optionTable
    assert.deepEqual(optimizer.kind.parse('adam'), 'adam')
    assert.deepEqual(optimizer.kind.parse('adam,eps=1e-6,betas=0.8:0.99'), {
      name: 'adam',
      eps: 1e-6,
      betas: [0.8, 0.99],
    })
    assert.deepEqual(optimizer.kind.parse('sgd,nesterov'), { name: 'sgd', nesterov: true })
    assert.deepEqual(augmentation.kind.parse('scale=0.5:1'), { scale: [0.5, 1] })
    assert.equal(clipGradNorm.kind.parse('none'), null)
    assert.deepEqual(classWeights.kind.parse('1,2.5'), [1, 2.5])
  })
})
