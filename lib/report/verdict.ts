import type { ClassMetrics } from '../evaluate/metrics.js'
import type { EpochMetrics } from '../train/events.js'
import { formatNumber, formatShare } from '../util/format.js'
import type { ReportData } from './data.js'

/** Sums up a run in a sentence or two, and advises what to try next. */
export interface Verdict {
  tone: 'good' | 'fair' | 'bad'
  text: string
  advice: string
}

export function verdictOf({ history, best, evaluation }: ReportData): Verdict | null {
  if (evaluation === null) return null
  const { top1, count, classes } = evaluation
  const most = classes.reduce((a, b) => (b.support > a.support ? b : a))
  const chance = Math.max(1 / classes.length, most.support / count)
  const noise = 2 * Math.sqrt((chance * (1 - chance)) / count)
  const weakest = weakestOf(classes)
  const few =
    count < 100
      ? ` Only ${count} images were classified, so this accuracy is uncertain by about ${formatShare(1 / Math.sqrt(count))}.`
      : ''
  if (top1 <= chance + noise) {
    const so =
      history.length > 0
        ? 'Validation accuracy never rose above chance'
        : 'The accuracy is no better than chance'
    return {
      tone: 'bad',
      text: `${so}: ${formatShare(top1)}, while always predicting '${most.label}' would give ${formatShare(most.support / count)}.${few}`,
      advice:
        history.length > 0
          ? 'Start from trained weights, try a third and three times the learning rate, and look at a batch with visiontorch preview: wrong labels and unsuitable augmentation have the same effect.'
          : 'Check that these weights were trained on these classes, and that images are preprocessed as in training.',
    }
  }
  const accuracy =
    top1 === 1
      ? 'all images recognised'
      : `${formatShare(top1)}, weakest class '${weakest.label}' (${formatShare(weakest.recall)} of its images recognised)`
  const overfit = overfitFrom(history)
  if (overfit !== null) {
    const last = history.at(-1)!
    return {
      tone: 'fair',
      text: `The model overfits from epoch ${overfit.epoch + 1} on: the validation loss rose from ${formatNumber(overfit.validationLoss)} to ${formatNumber(last.validationLoss)} while the training loss fell. The weights of epoch ${best?.epoch ?? '?'} were kept: ${accuracy}.${few}`,
      advice:
        'Add images or augmentation, freeze the backbone for longer, train for fewer epochs, or set labelSmoothing to 0.1.',
    }
  }
  const improving = best !== null && history.length >= 3 && best.epoch === history.at(-1)!.epoch
  if (top1 >= 0.9) {
    return {
      tone: 'good',
      text: `Good: ${accuracy}.${few}`,
      advice:
        improving && top1 < 1
          ? 'The last epoch was the best, so a few more may still help.'
          : 'Look at the worst predictions below: often some of them have wrong labels.',
    }
  }
  return {
    tone: 'fair',
    text: `Accuracy ${accuracy}.${few}`,
    advice: improving
      ? 'The last epoch was the best, so train for more epochs.'
      : 'Look at the confusions and the weakest classes below: more images of those classes help most.',
  }
}

/** The class with the lowest recall among those that have images. */
function weakestOf(classes: readonly ClassMetrics[]): ClassMetrics {
  const worse = (a: ClassMetrics, b: ClassMetrics) => a.recall - b.recall || a.f1 - b.f1
  return classes.filter(({ support }) => support > 0).reduce((a, b) => (worse(b, a) < 0 ? b : a))
}

/**
 * The epoch after which the validation loss rose by more than a tenth and stayed there while the training loss fell,
 * or null.
 */
function overfitFrom(history: readonly EpochMetrics[]): EpochMetrics | null {
  if (history.length < 4) return null
  const lowest = history.reduce((a, b) => (b.validationLoss < a.validationLoss ? b : a))
  const end = history.slice(-3)
  const rose = end.every(
    row =>
      row.epoch > lowest.epoch &&
      row.validationLoss > 1.1 * lowest.validationLoss &&
      row.trainLoss < lowest.trainLoss,
  )
  return rose ? lowest : null
}
