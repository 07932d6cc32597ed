import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { inFlags } from '../../../lib/cli/flags.js'
import { trainCommand } from '../../../lib/cli/train.js'
import { createModel } from '../../../lib/model/create-model.js'
import { optionGroups, optionTable } from '../../../lib/train/table.js'
import { VisionTorchError } from '../../../lib/util/errors.js'

describe('messages on the command line', () => {
  const rendered: [string, string[], string][] = [
    ['batchSize: expected an integer', ['batchSize'], '--batch-size: expected an integer'],
    ['resume: true needs directory', ['resume', 'directory'], '--resume needs --out'],
    ['start with weights: null', ['weights'], 'start with --weights none'],
    ["train with dtype: 'bfloat16'", ['dtype'], 'train with --dtype bfloat16'],
    ['optimizer.momentum: expected a number', ['optimizer'], '--optimizer momentum: expected a number'],
    ['learningRate: expected a number', ['learningRate'], '--lr: expected a number'],
    ['data: expected a folder', ['data'], 'DATA: expected a folder'],
    ['architecture: expected one of', ['architecture'], '--model: expected one of'],
    ['imageSize: expected a multiple', ['imageSize'], '--input-size: expected a multiple'],
    ['input: expected a path', ['input'], 'input: expected a path'],
  ]
  for (const [message, options, expected] of rendered) {
    it(`say '${expected}' for '${message}'`, () => {
      assert.equal(inFlags(message, options, trainCommand()), expected)
    })
  }

  it('keep words that the error does not name, longer words, and paths', () => {
    const message = "epochs: see 'epochs/seed.jpg', /data/epochs and epochsLeft; seed stays"
    assert.equal(
      inFlags(message, ['epochs'], trainCommand()),
      "--epochs: see 'epochs/seed.jpg', /data/epochs and epochsLeft; seed stays",
    )
  })
})

describe('an error for an invalid argument', () => {
  const optionsOf = (message: string, ...options: string[]) =>
    new VisionTorchError('ERR_INVALID_ARGUMENT', message, { options }).options

  it('names the option that its message starts with, wherever it was thrown', async () => {
    assert.deepEqual(optionsOf('batchSize: expected an integer'), ['batchSize'])
    assert.deepEqual(optionsOf('optimizer.betas[0]: expected a number'), ['optimizer'])
    assert.deepEqual(optionsOf('resume: true needs directory', 'resume', 'directory'), [
      'resume',
      'directory',
    ])
    assert.deepEqual(optionsOf('expected --model NAME'), [])
    await assert.rejects(createModel('vit_b_16', { imageSize: 200 }), { options: ['imageSize'] })
  })

  it('is shown with the flag', () => {
    const command = [
      '--import',
      'tsx',
      'lib/cli/main.ts',
      'summary',
      '--model',
      'vit_b_16',
      '--input-size',
      '200',
    ]
    const { status, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' })
    assert.equal(status, 2)
    assert.equal(stderr, "error: --input-size: expected a multiple of vit_b_16's patch size, 16, got 200\n")
  })
})

describe('the options of train', () => {
  it('each appear under exactly one heading of --help', () => {
    assert.deepEqual(Object.values(optionGroups).flatMap(Object.keys).sort(), Object.keys(optionTable).sort())
  })
})
