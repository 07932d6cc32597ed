import assert from 'node:assert/strict'
import { verdictOf } from '../../../lib/report/verdict.js'
import { sample } from '../../support/report.js'

/** Returns the verdict on a run that ended with this accuracy and whose epochs had these losses. */
function verdict(top1: number, losses: [train: number, validation: number][]) {
  const data = sample(4, losses.length)
  data.evaluation!.top1 = top1
  data.history.forEach((row, i) => {
    Object.assign(row, { trainLoss: losses[i]![0], validationLoss: losses[i]![1] })
  })
  return verdictOf({ ...data, best: data.history[1] ?? null })!
}

describe("a report's verdict on a run", () => {
  const falling: [number, number][] = [
    [1, 1],
    [0.8, 0.8],
    [0.6, 0.7],
    [0.4, 0.7],
    [0.3, 0.7],
  ]

  it('is that it is good, and names the weakest class', () => {
    const { tone, text } = verdict(0.97, falling)
    assert.equal(tone, 'good')
    assert.match(text, /^Good: 97\.0%, weakest class '\w+' \(\d+\.\d% of its images recognised\)\./)
  })

  it('names no weakest class if all images are recognised', () => {
    assert.match(verdict(1, falling).text, /^Good: all images recognised\./)
  })

  it('is that it is no better than chance', () => {
    const { tone, text, advice } = verdict(0.27, falling)
    assert.equal(tone, 'bad')
    assert.match(
      text,
      /^Validation accuracy never rose above chance: 27\.0%, while always predicting '\w+' would give 2\d\.\d%/,
    )
    assert.match(advice, /learning rate/)
  })

  it('is that it overfits, and since which epoch', () => {
    const rising: [number, number][] = [...falling.slice(0, 3), [0.3, 0.9], [0.2, 1], [0.1, 1.1]]
    const { tone, text } = verdict(0.8, rising)
    assert.equal(tone, 'fair')
    assert.match(
      text,
      /^The model overfits from epoch 4 on: .* rose from 0\.7 to 1\.1 .* The weights of epoch 2 were kept: 80\.0%/,
    )
  })

  it('is the accuracy with advice in other cases, and nothing without an evaluation', () => {
    const { tone, text } = verdict(0.8, falling)
    assert.equal(tone, 'fair')
    assert.match(text, /^Accuracy 80\.0%, weakest class .* Only \d+ images were classified/)
    assert.equal(verdictOf({ ...sample(2, 2), evaluation: null }), null)
  })
})
