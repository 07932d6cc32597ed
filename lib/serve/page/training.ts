// The training tab of `visiontorch ui`. docs/serving.md describes its routes.
import { drawCurves, type Point } from './curves.js'
import { find, make, share } from './dom.js'
import { demand, eventsOf } from './server.js'

interface Description {
  data: string
  classes: string[]
  images: Record<string, number>
  networks: string[]
}

interface Epoch {
  epoch: number
  epochs: number
  learningRate: number
  trainLoss: number
  trainTop1: number
  validationLoss: number
  top1: number
  isBest: boolean
  seconds: number
}

type RunEvent =
  | { type: 'prepare'; run: string; model: string; received?: number; total?: number | null }
  | { type: 'start'; directory: string; architecture: string; epochs: number; firstEpoch: number }
  | { type: 'step'; epoch: number; step: number; steps: number; loss: number; accuracy: number }
  | ({ type: 'epoch' } & Epoch)
  | { type: 'note' | 'warning' | 'failed'; message: string }
  | { type: 'done'; isStopped: boolean; directory: string; model: string | null; hasReport: boolean }
  | { type: 'checkpoint' | 'end' }

/** The largest number of points in a line. If there are more, every second point is dropped. */
const MOST_POINTS = 1000

const form = find<HTMLFormElement>('run-form')
const error = find('run-error')
const status = find('run-status')
const progress = find<HTMLProgressElement>('run-progress')
const stop = find<HTMLButtonElement>('stop')
const tryIt = find<HTMLButtonElement>('try')
const report = find<HTMLAnchorElement>('report')
const epochTable = find('epochs-table')

let run = ''
let epochs = 1
let stepLoss: Point[] = []
let history: Epoch[] = []

/**
 * Shows the tab. `onTrained` is called with the name of a model that was trained, `onTry` when the user wants to try
 * it.
 */
export async function startTraining(
  onTrained: (model: string) => Promise<void>,
  onTry: (model: string) => void,
): Promise<void> {
  const description: Description = await (await demand('training')).json()
  showDescription(description)
  form.addEventListener('submit', event => {
    event.preventDefault()
    attempt(start)
  })
  stop.addEventListener('click', () => {
    stop.disabled = true
    status.textContent = 'Stopping: finishing the step and saving.'
    attempt(() => demand('training/stop', { method: 'POST' }))
  })
  tryIt.addEventListener('click', () => onTry(tryIt.value))
  for (;;) {
    clear()
    try {
      for await (const event of eventsOf<RunEvent>('training/events')) {
        show(event)
        if (event.type === 'done' && event.model !== null) await onTrained(event.model)
      }
    } catch (failure) {
      status.textContent = `The server cannot be reached: ${(failure as Error).message}`
    }
    setRunning(false)
    await new Promise(resolve => setTimeout(resolve, 1000))
  }
}

function showDescription({ data, classes, images, networks }: Description): void {
  const counts = Object.entries(images).map(([split, count]) => `${count} images in ${split}`)
  find('data').textContent = data
  find('data-about').textContent = [`${classes.length} classes`, ...counts].join(', ')
  const select = find<HTMLSelectElement>('network')
  select.replaceChildren(...networks.map(name => make('option', { value: name }, name)))
  select.value = 'resnet50'
}

async function attempt(action: () => Promise<unknown>): Promise<void> {
  error.textContent = ''
  try {
    await action()
  } catch (failure) {
    error.textContent = (failure as Error).message
    stop.disabled = false
  }
}

function start(): Promise<unknown> {
  const fields = Object.fromEntries(new FormData(form)) as Record<string, string>
  const { model, weights, ...numbers } = fields
  const given = Object.entries(numbers).filter(([, text]) => text !== '')
  const options = { model, weights, ...Object.fromEntries(given.map(([name, text]) => [name, Number(text)])) }
  return demand('training/start', {
    method: 'POST',
    body: JSON.stringify(options),
    headers: { 'content-type': 'application/json' },
  })
}

function clear(): void {
  run = ''
  epochs = 1
  stepLoss = []
  history = []
  epochTable.replaceChildren()
  find('run-notes').replaceChildren()
  find('run').hidden = tryIt.hidden = report.hidden = true
  error.textContent = status.textContent = ''
}

function setRunning(isRunning: boolean): void {
  stop.hidden = !isRunning
  stop.disabled = false
  progress.hidden = !isRunning
  find<HTMLButtonElement>('start').disabled = isRunning
}

function show(event: RunEvent): void {
  switch (event.type) {
    case 'prepare':
      if (event.run !== run) {
        clear()
        run = event.run
        find('run').hidden = false
        find('run-title').textContent = event.model
        setRunning(true)
        draw()
      }
      progress.removeAttribute('value')
      if (event.received !== undefined && event.total) progress.value = event.received / event.total
      status.textContent = event.received === undefined ? 'Preparing.' : 'Downloading the official weights.'
      break
    case 'start':
      epochs = event.epochs
      find('run-title').textContent = `${event.architecture}, in ${event.directory}`
      status.textContent = `Training ${epochs} epochs.`
      break
    case 'step': {
      const at = event.epoch - 1 + event.step / event.steps
      stepLoss.push([at, event.loss])
      if (stepLoss.length > MOST_POINTS) stepLoss = stepLoss.filter((_, i) => i % 2 === 1)
      progress.value = at / epochs
      draw()
      break
    }
    case 'epoch':
      history.push(event)
      addRow(event)
      progress.value = event.epoch / epochs
      status.textContent = `Epoch ${event.epoch} of ${epochs}: ${share(event.top1)} of the validation images are classified correctly.`
      draw()
      break
    case 'note':
    case 'warning':
      find('run-notes').append(make('li', {}, event.message))
      break
    case 'failed':
      setRunning(false)
      status.textContent = 'The run has ended.'
      error.textContent = event.message
      break
    case 'done':
      setRunning(false)
      status.textContent = `${event.isStopped ? 'Stopped' : 'Done'}. The files are in ${event.directory}.`
      report.hidden = !event.hasReport
      report.href = `training/${run}/report`
      tryIt.hidden = event.model === null
      tryIt.value = event.model ?? ''
      break
  }
}

function addRow({ epoch, trainLoss, trainTop1, validationLoss, top1, isBest, seconds }: Epoch): void {
  const cells = [
    String(epoch),
    trainLoss.toFixed(4),
    validationLoss.toFixed(4),
    share(trainTop1),
    share(top1) + (isBest ? ' (best so far)' : ''),
    seconds.toFixed(1),
  ]
  epochTable.prepend(make('tr', {}, ...cells.map(text => make('td', {}, text))))
}

function draw(): void {
  const line = (y: (epoch: Epoch) => number) => history.map((epoch): Point => [epoch.epoch, y(epoch)])
  const chart = (id: string) => find(id) as unknown as SVGSVGElement
  drawCurves(
    chart('loss-chart'),
    [
      { className: 'step', points: stepLoss },
      { className: 'train', points: line(({ trainLoss }) => trainLoss) },
      { className: 'validation', points: line(({ validationLoss }) => validationLoss) },
    ],
    epochs,
    y => String(Number(y.toPrecision(3))),
  )
  drawCurves(
    chart('accuracy-chart'),
    [
      { className: 'train', points: line(({ trainTop1 }) => trainTop1) },
      { className: 'validation', points: line(({ top1 }) => top1) },
    ],
    epochs,
    y => `${Math.round(100 * y)}%`,
  )
}
