// What a classifier's logits are worth: scikit-learn's definitions, with 0 where a ratio has no denominator.

export interface ClassMetrics {
  label: string
  /** Of the images that were given this label, the share that bears it. */
  precision: number
  /** Of the images that bear this label, the share that was given it. */
  recall: number
  /** Harmonic mean of precision and recall. */
  f1: number
  /** Images that bear this label. */
  support: number
}

/** An image that was classified wrongly, or rightly with little confidence. */
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
  /** `confusion[true][predicted]` counts images. */
  confusion: number[][]
  /** The images whose own class had the lowest probability, worst first. */
  worst: PoorPrediction[]
}

/** Adds up predictions, batch by batch. */
export class Metrics {
  #classes: readonly string[]
  #keepWorst: number
  #confusion: number[][]
  #top5 = 0
  #loss = 0
  #count = 0
  #worst: PoorPrediction[] = []

  /** `keepWorst`: how many of the worst predictions to remember. */
  constructor(classes: readonly string[], keepWorst: number) {
    this.#classes = classes
    this.#keepWorst = keepWorst
    this.#confusion = classes.map(() => new Array<number>(classes.length).fill(0))
  }

  /** `logits`: a row of `classes.length` for each label. */
  add(logits: Float32Array, labels: Int32Array, files: readonly string[]): void {
    const width = this.#classes.length
    for (let i = 0; i < labels.length; i++) {
      this.#addOne(logits.subarray(i * width, (i + 1) * width), labels[i]!, files[i]!)
    }
  }

  #addOne(row: Float32Array, label: number, file: string): void {
    const own = row[label]!
    let best = 0
    let above = 0
    for (let j = 0; j < row.length; j++) {
      if (row[j]! > row[best]!) best = j
      // Of equal scores the lower index comes first, as with argmax.
      if (row[j]! > own || (row[j] === own && j < label)) above++
    }
    let sum = 0
    for (const value of row) sum += Math.exp(value - row[best]!)
    const loss = Math.log(sum) + row[best]! - own
    this.#count++
    this.#loss += loss
    this.#confusion[label]![best]!++
    if (above < 5) this.#top5++
    this.#remember({
      file,
      label: this.#classes[label]!,
      predicted: this.#classes[best]!,
      score: 1 / sum,
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
    const confusion = this.#confusion
    const given = this.#classes.map((_, j) => confusion.reduce((sum, row) => sum + row[j]!, 0))
    const ratio = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)
    let right = 0
    const classes = this.#classes.map((label, i) => {
      const hits = confusion[i]![i]!
      const support = confusion[i]!.reduce((a, b) => a + b, 0)
      right += hits
      const precision = ratio(hits, given[i]!)
      const recall = ratio(hits, support)
      return { label, precision, recall, f1: ratio(2 * hits, given[i]! + support), support }
    })
    return {
      top1: ratio(right, this.#count),
      top5: ratio(this.#top5, this.#count),
      loss: ratio(this.#loss, this.#count),
      count: this.#count,
      classes,
      confusion,
      worst: this.#worst,
    }
  }
}
