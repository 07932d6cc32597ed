import assert from 'node:assert/strict'
import { inFlags } from '../../../lib/cli/flags.js'
import { trainCommand } from '../../../lib/cli/train.js'
import { optionGroups, optionTable } from '../../../lib/train/table.js'

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
    ['input: expected a path', ['input'], 'input: expected a path'],
  ]
  for (const [message, options, expected] of rendered) {
    it(`say '${expected}' for '${message}'`, () => {
      assert.equal(inFlags(message, options, trainCommand()), expected)
    })
  }

  it('leave alone what the error does not name, longer words and paths', () => {
    const message = "epochs: see 'epochs/seed.jpg', /data/epochs and epochsLeft; seed stays"
    assert.equal(
      inFlags(message, ['epochs'], trainCommand()),
      "--epochs: see 'epochs/seed.jpg', /data/epochs and epochsLeft; seed stays",
    )
  })
})

describe('the options of train', () => {
  it('are each below one heading of --help', () => {
    assert.deepEqual(Object.values(optionGroups).flatMap(Object.keys).sort(), Object.keys(optionTable).sort())
  })
})
