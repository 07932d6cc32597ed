import type { EpochEvent, EpochMetrics, StepEvent, TrainingEvent, TrainingResult } from '../train/events.js'
import { formatNumber, formatShare } from '../util/format.js'
import {
  barLine,
  colorErr,
  fill,
  formatCount,
  formatDuration,
  liveLine,
  note,
  print,
  table,
  warn,
} from './terminal.js'

/** Shows the progress of a training run: a bar, a line for each epoch, and the result. */
export interface TrainingDisplay {
  show(event: TrainingEvent): void
  /** Removes the bar, at the end and if the run fails. */
  stop(): void
  [Symbol.dispose](): void
}

/** The columns of an epoch's line: their titles, widths and content. */
const columns: [title: string, width: number, cell: (event: EpochEvent) => string][] = [
  ['epoch', 7, event => `${event.epoch}/${event.epochs}`],
  ['loss', 8, event => event.trainLoss.toFixed(3)],
  ['acc', 8, event => formatShare(event.trainTop1)],
  ['val loss', 11, event => event.validationLoss.toFixed(3)],
  ['val acc', 11, event => formatShare(event.top1)],
  ['top 5', 9, event => formatShare(event.top5)],
  ['lr', 11, event => formatNumber(event.learningRate)],
  ['img/s', 8, event => formatSpeed(event.imagesPerSecond)],
  ['time', 9, event => formatDuration(event.seconds)],
]
type Columns = typeof columns

/** Whether the terminal has no room for the columns followed by `best`. */
const isNarrow = () => (process.stderr.isTTY ? process.stderr.columns : Infinity) < 88

/** Writes to stderr, and the result to stdout. Use with `using`, so that a failure leaves the terminal clean. */
export function trainingDisplay(): TrainingDisplay {
  let step: StepEvent | undefined
  let epochStart = performance.now()
  let epochSeconds: number | undefined
  let shown = columns
  const line = liveLine(() => (step === undefined ? '' : stepLine(step, timeLeft(step))))

  /** The remaining time of the whole run. Includes validation once an epoch has shown how long it takes. */
  const timeLeft = ({ epoch, epochs, step, steps }: StepEvent) => {
    const share = step / steps
    const whole = epochSeconds ?? (performance.now() - epochStart) / 1000 / share
    return whole * (epochs - epoch + 1 - share)
  }

  return {
    show(event) {
      switch (event.type) {
        case 'start':
          note(
            `${event.architecture} on ${event.device}: ${event.classes.length} classes, ` +
              `${formatCount(event.trainImages)} training images, ${formatCount(event.validationImages)} validation images`,
          )
          note(`writing files to ${event.directory}`)
          // With five classes or fewer, the top-5 accuracy is always 100%.
          shown = columns.filter(([title]) => title !== 'top 5' || event.classes.length > 5)
          if (!isNarrow()) note(colorErr.dim(row(shown, ([title]) => title)))
          epochStart = performance.now()
          break
        case 'step':
          step = event
          line.redraw(event.step === event.steps)
          break
        case 'epoch':
          step = undefined
          epochSeconds = event.seconds
          epochStart = performance.now()
          note(epochLine(event, shown))
          break
        case 'checkpoint':
          break // not shown: best and last are saved every epoch, and the result names the directory
        case 'note':
          note(event.message)
          break
        case 'warning':
          warn(event.message)
          break
        case 'end':
          line.stop()
          print(resultTable(event, shown.length === columns.length))
      }
    },
    stop: line.stop,
    [Symbol.dispose]: line.stop,
  }
}

function stepLine(event: StepEvent, secondsLeft: number): string {
  const { epoch, epochs, step, steps, meanLoss, accuracy, learningRate, imagesPerSecond } = event
  const label = `${epoch}/${epochs}`
  const done = `${step}/${steps}`
  const left = `${formatDuration(secondsLeft)} left`
  const figures =
    step === steps
      ? ['validating']
      : [
          `loss ${meanLoss.toFixed(3)}`,
          `acc ${formatShare(accuracy)}`,
          `lr ${formatNumber(learningRate)}`,
          `${formatSpeed(imagesPerSecond)} img/s`,
        ]
  // On a narrow terminal, leave out what does not fit into one line, the least important first.
  while (fill([label, done, ...figures, left], process.stderr.columns ?? 80).length > 1 && figures.pop());
  return barLine(isNarrow() ? label : label.padStart(7), step / steps, [done, ...figures, left].join('  '))
}

function epochLine(event: EpochEvent, shown: Columns): string {
  const best = event.isBest ? colorErr.green('best') : ''
  if (!isNarrow()) return `${row(shown, ([, , cell]) => cell(event))}  ${best}`.trimEnd()
  const named = shown.map(([title, , cell], i) => (i === 0 ? cell(event) : `${title} ${cell(event)}`))
  return fill([...named, best], process.stderr.columns - 2).join('\n  ')
}

const row = (shown: Columns, text: (column: Columns[number]) => string) =>
  shown.map(column => text(column).padStart(column[1])).join('')

function resultTable(
  { best, history, reason, directory, seconds }: TrainingResult,
  hasTop5: boolean,
): string {
  const last: EpochMetrics = history.at(-1) ?? best
  const figures = table(
    ['', 'best', 'last'],
    [
      ['epoch', best.epoch, last.epoch],
      ['accuracy', formatShare(best.top1), formatShare(last.top1)],
      ...(hasTop5 ? [['top 5', formatShare(best.top5), formatShare(last.top5)]] : []),
      ['loss', formatNumber(best.validationLoss), formatNumber(last.validationLoss)],
    ],
    'lrr',
  )
  const took = formatDuration(seconds)
  const ended =
    reason === 'completed' ? `done in ${took}` : `stopped early after ${took}, because nothing improved`
  return `\n${figures}\n${ended}; files in ${directory}`
}

const formatSpeed = (value: number) => (value < 10 ? formatNumber(value) : formatCount(Math.round(value)))
