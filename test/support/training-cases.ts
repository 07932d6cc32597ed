// Ten steps of training on a small MobileNetV2, by case, and on other networks, as test/reference/training.py computes them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import {
  type NativeModel,
  type NetworkOptions,
  native,
  type TrainerOptions,
} from '../../lib/native/native.js'
import { plainSgd } from './plain-sgd.js'

interface Case {
  optimizer: TrainerOptions['optimizer']
  lr: number
  frozen?: boolean
  frozenBatchNormTrains?: boolean
  unfreezeAt?: number
  labelSmoothing?: number
  classWeights?: number[]
  clipGradNorm?: number
  accumulate?: number
  ema?: number
  mixed?: number
  normWeightDecay?: number
  biasWeightDecay?: number
  layerDecay?: number
  freeze?: number | string
}
type Samples = Record<string, number[]>
interface Fixture {
  steps: number
  batch: number
  size: number
  stride: number
  options: NetworkOptions
  cases: Record<
    string,
    { case: Case; losses: number[]; gradNorms: number[]; weights: Samples; average?: Samples }
  >
  networks: { batch: number; size: number; runs: NetworkRun[] }
}
/** The losses of another network. */
export interface NetworkRun {
  architecture: string
  options: NetworkOptions
  case: Case
  losses: number[]
}
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../fixtures/training.json', import.meta.url), 'utf8'),
)

// The same images and labels as test/reference/training.py makes.
function noise(i: number): number {
  let h = Math.imul(i, 2654435761)
  h ^= h >>> 15
  h = Math.imul(h, 2246822519)
  h ^= h >>> 13
  return (h & 0xffff) / 16384 - 2
}
export function images(
  step: number,
  { batch, size }: { batch: number; size: number } = fixture,
): Float32Array {
  const length = batch * 3 * size ** 2
  return Float32Array.from({ length }, (_, i) => noise(i + step * length))
}
export const labels = (step: number, { batch }: { batch: number } = fixture) =>
  Int32Array.from({ length: batch }, (_, i) => (i * 7 + step) % 4)
const rolled = (values: Int32Array) => Int32Array.from(values, (_, i) => values.at(i - 1)!)

// PyTorch also averages num_batches_tracked and truncates it; ours stays the count.
const withoutCounters = <T>(entries: Record<string, T>): Record<string, T> =>
  Object.fromEntries(Object.entries(entries).filter(([name]) => !name.endsWith('num_batches_tracked')))

async function assertSamples(
  model: NativeModel,
  expected: Samples,
  choose = <T>(entries: Record<string, T>) => entries,
): Promise<void> {
  const actual = new Map(Object.entries(choose(Object.fromEntries(await model.stateDict()))))
  assert.deepEqual([...actual.keys()], Object.keys(expected))
  for (const [name, { data }] of actual) {
    const samples = Array.from(data, Number).filter((_, i) => i % fixture.stride === 0)
    for (const [i, value] of samples.entries()) {
      const difference = Math.abs(value - expected[name]![i]!)
      assert.ok(difference <= 1e-4, `${name}[${i * fixture.stride}]: ${value}, PyTorch ${expected[name]![i]}`)
    }
  }
}

/** The titles of the cases. */
export const trainingCases = Object.keys(fixture.cases)

/** Trains as the case says. Throws if a loss, a gradient norm or a weight differs from PyTorch's. */
export async function checkTraining(name: string): Promise<void> {
  const { case: c, losses, gradNorms, weights, average } = fixture.cases[name]!
  const batch = new (native().ImageBatch)(fixture.batch, fixture.size, fixture.size, [0, 0, 0], [1, 1, 1])
  const model = await native().createModel('mobilenet_v2', 4, 11, fixture.options)
  const trainer = await native().createTrainer(model, {
    ...c,
    labelSmoothing: c.labelSmoothing ?? 0,
    classWeights: c.classWeights ? Float32Array.from(c.classWeights) : null,
    clipGradNorm: c.clipGradNorm ?? null,
    ema: c.ema ? { decay: c.ema } : null,
    dtype: 'float32',
  })
  if (c.frozen) await trainer.setFrozen(true, !c.frozenBatchNormTrains)
  const accumulate = c.accumulate ?? 1
  const norms: number[] = []
  for (let step = 0; step < fixture.steps; step++) {
    if (step === c.unfreezeAt) await trainer.setFrozen(false, true)
    batch.setTensor(images(step))
    const update = (step + 1) % accumulate === 0
    const result = await trainer.step(batch, labels(step), {
      learningRate: c.lr,
      seed: 100 + step,
      scale: 1 / accumulate,
      update,
      mixed: c.mixed ? { labels: rolled(labels(step)), weight: c.mixed } : null,
    })
    const relative = Math.abs(result.loss / losses[step]! - 1)
    assert.ok(relative <= 1e-5, `step ${step}: loss ${result.loss}, PyTorch ${losses[step]}`)
    if (c.clipGradNorm && update) norms.push(result.gradNorm)
  }
  for (const [i, norm] of norms.entries()) assert.ok(Math.abs(norm / gradNorms[i]! - 1) <= 1e-4)
  await assertSamples(model, weights)
  if (average) await assertSamples(trainer.ema!, withoutCounters(average), withoutCounters)
}

export const networkRuns = fixture.networks.runs

/** Trains another network, with its dropout and stochastic depth. Throws if a loss differs from PyTorch's. */
export async function checkNetwork({ architecture, options, case: c, losses }: NetworkRun): Promise<void> {
  const { networks } = fixture
  const batch = new (native().ImageBatch)(networks.batch, networks.size, networks.size, [0, 0, 0], [1, 1, 1])
  const model = await native().createModel(architecture, 4, 11, options)
  const trainer = await native().createTrainer(model, { ...plainSgd, optimizer: c.optimizer })
  for (const [step, expected] of losses.entries()) {
    batch.setTensor(images(step, networks))
    const { loss } = await trainer.step(batch, labels(step, networks), {
      learningRate: c.lr,
      seed: 100 + step,
      scale: 1,
      update: true,
      mixed: null,
    })
    assert.ok(Math.abs(loss / expected - 1) <= 2e-4, `step ${step}: loss ${loss}, PyTorch ${expected}`)
  }
  model.dispose()
}
