// Metrics of a classifier's logits, by scikit-learn's definitions. A ratio whose denominator is 0 is 0.

export interface ClassMetrics {
  label: string
  /** The share of the images predicted as this class that belong to it. */
  precision: number
  /** The share of the images of this class that were predicted as it. */
  recall: number
  /** Harmonic mean of precision and recall. */
  f1: number
  /** The number of images of this class. */
  support: number
}

/** An image that was classified wrongly, or correctly with little confidence. */
export interface PoorPrediction {
  file: string
  /** The image's class. */
  label: string
  /** The class with the highest probability, and that probability. */
  predicted: string
  score: number
  /** The probability of the image's own class. */
  labelScore: number
}

/** How many images of one class were predicted as another class, or as their own. */
export interface ConfusionCell {
  /** Index of the true class. */
  actual: number
  /** Index of the class with the highest score. */
  predicted: number
  /** Images, at least one. */
  count: number
}

export interface Evaluation {
  /** Share of images whose class has the highest score, 0 to 1. */
  top1: number
  /** Share of images whose class is among the five highest scores (all, with fewer classes), 0 to 1. */
  top5: number
  /** Mean cross entropy, in nats. */
  loss: number
  /** Images evaluated. */
  count: number
  classes: ClassMetrics[]
  /** The cells of the confusion matrix that are not zero, row by row: few, however many classes there are. */
  confusions: ConfusionCell[]
  /** `confusion[true][predicted]` counts images. It has classes x classes numbers, and is built when it is first read. */
  readonly confusion: number[][]
  /** The images whose own class had the lowest probability, worst first. */
  worst: PoorPrediction[]
}

/** How many numbers the metrics need for each image, see {@link scoresOf}. */
export const SCORES = 4

/**
 * For each row of logits: the class with the highest score, how many classes score higher than the true one, the cross entropy,
 * and the probability.
 */
export function scoresOf(logits: Float32Array, labels: Int32Array): Float64Array {
  const width = logits.length / labels.length
  const scores = new Float64Array(labels.length * SCORES)
  for (let i = 0; i < labels.length; i++)
    scores.set(scoresOfRow(logits.subarray(i * width, (i + 1) * width), labels[i]!), i * SCORES)
  return scores
}

function scoresOfRow(row: Float32Array, label: number): [number, number, number, number] {
  const own = row[label]!
  let best = 0
  let above = 0
  for (let j = 0; j < row.length; j++) {
    if (row[j]! > row[best]!) best = j
    // Of equal scores, the lower index comes first, as with argmax.
    if (row[j]! > own || (row[j] === own && j < label)) above++
  }
  let sum = 0
  for (const value of row) sum += Math.exp(value - row[best]!)
  return [best, above, Math.log(sum) + row[best]! - own, 1 / sum]
}

/** The probabilities of a row of logits. */
export function softmax(logits: Float32Array): Float32Array {
  const most = logits.reduce((a, b) => Math.max(a, b))
  const exponentials = logits.map(value => Math.exp(value - most))
  const sum = exponentials.reduce((a, b) => a + b)
  return exponentials.map(value => value / sum)
}

/** Adds up predictions, batch by batch. */
export class Metrics {
  #classes: readonly string[]
  #keepWorst: number
  /** Counts by `actual * classes + predicted`. It is sparse because a matrix of 10,000 classes is nearly empty. */
  #cells = new Map<number, number>()
  #top5 = 0
  #loss = 0
  #count = 0
  #worst: PoorPrediction[] = []

  /** `keepWorst`: how many of the worst predictions to remember. */
  constructor(classes: readonly string[], keepWorst: number) {
    this.#classes = classes
    this.#keepWorst = keepWorst
  }

  /** `logits`: a row of `classes.length` for each label. */
  add(logits: Float32Array, labels: Int32Array, files: readonly string[]): void {
    const scores = scoresOf(logits, labels)
    for (let i = 0; i < labels.length; i++)
      this.addScores(scores.subarray(i * SCORES, (i + 1) * SCORES), labels[i]!, files[i]!)
  }

  /** Adds one image, by the numbers that {@link scoresOf} returns. */
  addScores(scores: Float64Array, label: number, file: string): void {
    const [best, above, loss, score] = scores as unknown as [number, number, number, number]
    this.#count++
    this.#loss += loss
    const cell = label * this.#classes.length + best
    this.#cells.set(cell, (this.#cells.get(cell) ?? 0) + 1)
    if (above < 5) this.#top5++
    this.#remember({
      file,
      label: this.#classes[label]!,
      predicted: this.#classes[best]!,
      score,
      labelScore: Math.exp(-loss),
    })
  }

  #remember(prediction: PoorPrediction): void {
    const worst = this.#worst
    if (worst.length >= this.#keepWorst) {
      if (worst.length === 0 || prediction.labelScore >= worst.at(-1)!.labelScore) return
      worst.pop()
    }
    const at = worst.findIndex(other => other.labelScore > prediction.labelScore)
    worst.splice(at === -1 ? worst.length : at, 0, prediction)
  }

  result(): Evaluation {
    const width = this.#classes.length
    const confusions = Array.from(this.#cells)
      .sort(([a], [b]) => a - b)
      .map(([cell, count]) => ({ actual: Math.floor(cell / width), predicted: cell % width, count }))
    const [support, given, hits] = [0, 1, 2].map(() => new Float64Array(width)) as Counts
    for (const { actual, predicted, count } of confusions) {
      support[actual]! += count
      given[predicted]! += count
      if (actual === predicted) hits[actual] = count
    }
    const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
    const classes = this.#classes.map((label, i) => ({
      label,
      precision: ratio(hits[i]!, given[i]!),
      recall: ratio(hits[i]!, support[i]!),
      f1: ratio(2 * hits[i]!, given[i]! + support[i]!),
      support: support[i]!,
    }))
    let matrix: number[][] | undefined
    return {
      top1: ratio(
        hits.reduce((a, b) => a + b, 0),
        this.#count,
      ),
      top5: ratio(this.#top5, this.#count),
      loss: ratio(this.#loss, this.#count),
      count: this.#count,
      classes,
      confusions,
      get confusion() {
        matrix ??= matrixOf(confusions, width)
        return matrix
      },
      worst: this.#worst,
    }
  }
}

type Counts = [Float64Array, Float64Array, Float64Array]

function matrixOf(cells: readonly ConfusionCell[], width: number): number[][] {
  const matrix = Array.from({ length: width }, () => new Array<number>(width).fill(0))
  for (const { actual, predicted, count } of cells) matrix[actual]![predicted] = count
  return matrix
}
