import type { Evaluation } from '../../lib/evaluate/metrics.js'
import type { ReportData } from '../../lib/report/data.js'

/** Figures of an imaginary run, for tests that draw: plausible curves and a matrix with a few confusions. */
export function sample(classes: number, epochs: number): ReportData {
  const labels = Array.from({ length: classes }, (_, index) => names[index] ?? `class ${index}`)
  const history = Array.from({ length: epochs }, (_, index) => {
    const epoch = index + 1
    const progress = 1 - Math.exp((-4 * epoch) / epochs)
    const wobble = 0.02 * Math.sin(epoch * 2.3)
    return {
      epoch,
      learningRate: 0.005 * (1 + Math.cos((Math.PI * epoch) / epochs)),
      trainLoss: Math.log(classes) * (1.02 - progress) + 0.05,
      trainTop1: 1 / classes + (0.98 - 1 / classes) * progress,
      validationLoss: Math.log(classes) * (1.08 - progress) + 0.1 + 2 * wobble,
      top1: 1 / classes + (0.93 - 1 / classes) * progress + wobble,
      top5: Math.min(1, 5 / classes + (1 - 5 / classes) * progress),
      imagesPerSecond: 143 + 6 * Math.sin(epoch),
      seconds: 12,
    }
  })
  return {
    title: 'mobilenet_v2 on photos',
    history,
    best: history.reduce<(typeof history)[number] | null>((a, b) => (a && a.top1 >= b.top1 ? a : b), null),
    evaluation: evaluationOf(labels),
    config: {
      architecture: 'mobilenet_v2',
      optimizer: { name: 'sgd', momentum: 0.9, weightDecay: 5e-4 },
      epochs,
      batchSize: 32,
      classWeights: null,
      augmentation: 'standard',
    },
  }
}

const names = ['daisy', 'dandelion', 'rose', 'sunflower', 'tulip <script>', 'a class with quite a long name']

/** Each class is mostly recognized, and confused with one other class up to four times. */
function evaluationOf(labels: readonly string[]): Evaluation {
  const count = labels.length
  const confusions = labels.flatMap((_, actual) => {
    const row = new Map([[actual, 18 + (actual % 5)]])
    const other = (actual * 7 + 3) % count
    row.set(other, (row.get(other) ?? 0) + (actual % 4) + 1)
    return [...row].map(([predicted, count]) => ({ actual, predicted, count })).sort(byPredicted)
  })
  const [support, given, hits] = [0, 1, 2].map(() => new Array<number>(count).fill(0)) as number[][]
  for (const { actual, predicted, count } of confusions) {
    support![actual]! += count
    given![predicted]! += count
    if (actual === predicted) hits![actual]! += count
  }
  const total = support!.reduce((a, b) => a + b, 0)
  return {
    top1: hits!.reduce((a, b) => a + b, 0) / total,
    top5: 0.991,
    loss: 0.2314,
    count: total,
    classes: labels.map((label, index) => {
      const precision = hits![index]! / given![index]!
      const recall = hits![index]! / support![index]!
      const f1 = (2 * hits![index]!) / (given![index]! + support![index]!)
      return { label, precision, recall, f1, support: support![index]! }
    }),
    confusions,
    get confusion(): number[][] {
      throw new Error('a report reads the sparse cells')
    },
    worst: [],
  }
}

const byPredicted = (a: { predicted: number }, b: { predicted: number }) => a.predicted - b.predicted
