import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { Metrics } from '../../lib/evaluate/metrics.js'

interface Case {
  classes: number
  labels: number[]
  logits: number[]
  top1: number
  top5: number
  loss: number
  precision: number[]
  recall: number[]
  f1: number[]
  support: number[]
  confusion: number[][]
}

const fixture = JSON.parse(readFileSync(new URL('../fixtures/metrics.json', import.meta.url), 'utf8')) as {
  made_by: string
  cases: Case[]
}

describe(`metrics, against ${fixture.made_by}`, () => {
  for (const expected of fixture.cases) {
    it(`${expected.labels.length} images of ${expected.classes} classes, in batches of 7`, () => {
      const classes = Array.from({ length: expected.classes }, (_, i) => `class ${i}`)
      const metrics = new Metrics(classes, 4)
      for (let i = 0; i < expected.labels.length; i += 7) {
        const labels = Int32Array.from(expected.labels.slice(i, i + 7))
        const logits = Float32Array.from(
          expected.logits.slice(i * expected.classes, (i + 7) * expected.classes),
        )
        const files = Array.from(labels, (_, j) => `${i + j}.png`)
        metrics.add(logits, labels, files)
      }
      const got = metrics.result()
      const close = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-7, `${a} is not ${b}`)
      assert.equal(got.count, expected.labels.length)
      close(got.top1, expected.top1)
      close(got.top5, expected.top5)
      close(got.loss, expected.loss)
      assert.deepEqual(got.confusion, expected.confusion)
      assert.deepEqual(
        got.confusions,
        expected.confusion.flatMap((row, actual) =>
          row.flatMap((count, predicted) => (count > 0 ? [{ actual, predicted, count }] : [])),
        ),
      )
      for (const [i, row] of got.classes.entries()) {
        close(row.precision, expected.precision[i]!)
        close(row.recall, expected.recall[i]!)
        close(row.f1, expected.f1[i]!)
        assert.equal(row.support, expected.support[i])
      }
      const scores = got.worst.map(poor => poor.labelScore)
      assert.equal(scores.length, 4)
      assert.deepEqual(
        scores,
        Array.from(scores).sort((a, b) => a - b),
      )
    })
  }
})
