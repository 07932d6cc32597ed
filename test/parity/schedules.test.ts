import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { resolveOptions, type TrainOptions } from '../../lib/train/options.js'
import { learningRateAt } from '../../lib/train/schedule.js'

type Run = Omit<TrainOptions, 'data'> & { epochs: number; rates: number[] }

const fixture = JSON.parse(readFileSync(new URL('../fixtures/schedules.json', import.meta.url), 'utf8')) as {
  made_by: string
  stepsPerEpoch: number
  torch: Run[]
  seed: Run[]
}

function assertRates(
  { rates, ...run }: Run,
  stepsPerEpoch: number,
  preset: 'classification-pytorch' | null,
): void {
  const options = resolveOptions({ data: '.', preset, ...run })
  assert.equal(rates.length, options.epochs * stepsPerEpoch)
  for (const [i, expected] of rates.entries()) {
    const [epoch, step] = [Math.floor(i / stepsPerEpoch), i % stepsPerEpoch]
    const got = learningRateAt(options, epoch, step / stepsPerEpoch)
    assert.ok(
      Math.abs(got - expected) <= 1e-9 * expected,
      `epoch ${epoch}, step ${step}: ${got} is not ${expected}`,
    )
  }
}

describe(`learning rates of every update, against torch.optim.lr_scheduler of ${fixture.made_by}`, () => {
  for (const run of fixture.torch) {
    const warmup = run.warmupEpochs ? `, ${run.warmupEpochs} epochs of warm-up` : ''
    it(`${JSON.stringify(run.schedule)}, ${run.epochs} epochs${warmup}`, () =>
      assertRates(run, fixture.stepsPerEpoch, null))
  }
})

describe("learning rates of every epoch with preset: 'classification-pytorch', against the platform's formulas", () => {
  for (const run of fixture.seed) {
    it(`${run.schedule}, ${run.optimizer}, ${run.epochs} epochs, ${run.freezeEpochs} of them frozen`, () =>
      assertRates(run, 1, 'classification-pytorch'))
  }
})
