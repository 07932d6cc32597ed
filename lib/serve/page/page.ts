// The page at `/`, in the browser. It uses only the routes that docs/serving.md describes.
import { find, make, share } from './dom.js'
import { ask, demand, hasKey, setKey } from './server.js'
import { startTraining } from './training.js'

interface Prediction {
  label: string
  index: number
  score: number
}

interface Result {
  file: string
  model: string
  predictions?: Prediction[]
  error?: string
}

interface ModelCard {
  name: string
  version: number
  architecture: string
  parameters: number
  device: string
  dtype: string
  preprocessing: {
    resize: number | [number, number]
    crop: number | [number, number]
    mode: string
    interpolation: string
  }
  classes: string[]
  training: { epoch?: number; top1?: number; top5?: number } | null
}

/** The number of simultaneous requests. */
const CONCURRENCY = 4

const modelSelect = find<HTMLSelectElement>('model')
const topK = find<HTMLInputElement>('top-k')
const status = find('status')
const list = find('results')

let models: ModelCard[] = []
let results: Result[] = []
let waiting: { file: File; item: HTMLLIElement; result: Result }[] = []
let active = 0
/** Counts the sessions that `Clear` has ended. Results that still arrive for them are not shown. */
let session = 0

const selected = (chosen = modelSelect.value) => models.find(({ name }) => name === chosen)

async function start(): Promise<void> {
  const response = await ask('models')
  find('key-form').hidden = response.status !== 401
  if (response.status === 401) {
    if (hasKey()) status.textContent = 'This key is wrong.'
    find('key').focus()
    return
  }
  if (!response.ok) throw new Error(`the server answered ${response.status}`)
  status.textContent = ''
  const answer = await response.json()
  showModels(answer.models)
  if (!answer.canTrain || !find('views').hidden) return
  find('views').hidden = false
  view('training')
  await startTraining(
    async name => {
      showModels((await (await demand('models')).json()).models)
      choose(name)
    },
    name => {
      choose(name)
      view('predicting')
    },
  )
}

function showModels(all: ModelCard[]): void {
  const chosen = modelSelect.value
  models = all
  modelSelect.replaceChildren(...models.map(({ name }) => make('option', { value: name }, name)))
  if (selected(chosen)) modelSelect.value = chosen
  find('models').hidden = models.length < 2
  find('no-model').hidden = models.length > 0
  find('predicting-model').hidden = models.length === 0
  showModel()
}

function choose(name: string): void {
  modelSelect.value = name
  showModel()
}

/** Shows one of the tabs. */
function view(name: 'training' | 'predicting'): void {
  for (const other of ['training', 'predicting']) {
    find(other).hidden = other !== name
    find(`show-${other}`).setAttribute('aria-current', String(other === name))
  }
}

function showModel(): void {
  const model = selected()
  if (model === undefined) return
  const { preprocessing, training, classes } = model
  const { crop, resize } = preprocessing
  const sizeText = ([height, width]: [number, number]) => `${height} × ${width}`
  const facts: [string, string | undefined][] = [
    ['Name', `${model.name}, version ${model.version}`],
    ['Network', `${model.architecture}, ${model.parameters.toLocaleString()} parameters`],
    ['Computes', `on ${model.device} in ${model.dtype}`],
    [
      'Input',
      `${typeof crop === 'number' ? sizeText([crop, crop]) : sizeText(crop)} pixels (${preprocessing.mode}, resized to ${typeof resize === 'number' ? resize : sizeText(resize)}, ${preprocessing.interpolation})`,
    ],
    [
      'Accuracy',
      training?.top1 === undefined ? undefined : `${share(training.top1)} on its validation images`,
    ],
    [
      'Top-5 accuracy',
      training?.top5 === undefined || classes.length <= 5 ? undefined : share(training.top5),
    ],
    ['Trained', training?.epoch === undefined ? undefined : `${training.epoch} epochs`],
    ['Classes', String(classes.length)],
  ]
  find('title').textContent = model.name
  document.title = `${model.name} · visiontorch`
  find('card').replaceChildren(
    ...facts.flatMap(([name, value]) =>
      value === undefined ? [] : [make('dt', {}, name), make('dd', {}, value)],
    ),
  )
  const shown = classes.slice(0, 1000).join(', ')
  find('classes').hidden = false
  find('classes').querySelector('p')!.textContent = classes.length > 1000 ? `${shown}, …` : shown
  showCode()
}

const query = () => {
  const parameters = new URLSearchParams({ topK: topK.value || '5' })
  if (models.length > 1) parameters.set('model', modelSelect.value)
  return parameters.toString()
}

function showCode(): void {
  const url = new URL(`predict?${query()}`, document.baseURI).href
  const withKey = hasKey()
  find('curl').textContent =
    `curl${withKey ? ` -H "Authorization: Bearer $KEY"` : ''} -H 'Content-Type: image/jpeg' \\\n` +
    `  --data-binary @photo.jpg '${url}'`
  find('typescript').textContent = [
    "import { readFile } from 'node:fs/promises'",
    '',
    `const response = await fetch('${url}', {`,
    "  method: 'POST',",
    "  body: await readFile('photo.jpg'),",
    `  headers: { 'content-type': 'image/jpeg'${withKey ? `, authorization: \`Bearer \${process.env.KEY}\`` : ''} },`,
    '})',
    'const { predictions } = await response.json()',
  ].join('\n')
}

function add(files: Iterable<File>): void {
  for (const file of files) {
    const image = make('img', { alt: '', loading: 'lazy', src: URL.createObjectURL(file) })
    image.addEventListener('error', () => {
      image.hidden = true // the browser cannot show it, but the server may read it
    })
    const name = file.name || 'pasted image'
    const item = make('li', {}, image, make('p', { className: 'name' }, name))
    list.append(item)
    const result: Result = { file: name, model: modelSelect.value }
    results.push(result)
    waiting.push({ file, item, result })
  }
  find('results-section').hidden = results.length === 0
  showProgress()
  work()
}

function work(): void {
  while (active < CONCURRENCY && waiting.length > 0) {
    const { file, item, result } = waiting.shift()!
    const mine = session
    active++
    predict(file)
      .then(
        predictions => Object.assign(result, { predictions }),
        (error: Error) => Object.assign(result, { error: error.message }),
      )
      .finally(() => {
        active--
        if (mine === session) showResult(item, result)
        showProgress()
        work()
      })
  }
}

async function predict(file: File): Promise<Prediction[]> {
  for (;;) {
    const response = await ask(`predict?${query()}`, {
      method: 'POST',
      body: file,
      headers: { 'content-type': 'application/octet-stream' },
    })
    if (response.status === 429) {
      await new Promise(resolve =>
        setTimeout(resolve, 1000 * Number(response.headers.get('retry-after') ?? 1)),
      )
      continue
    }
    const body = await response.json()
    if (!response.ok) throw new Error(body.error.message)
    return body.predictions
  }
}

function showResult(item: HTMLLIElement, { predictions, error }: Result): void {
  if (error !== undefined) item.append(make('p', { className: 'error' }, error))
  for (const { label, score } of predictions ?? []) {
    const percent = share(score)
    const bar = make('meter', { min: 0, max: 1, value: score, title: percent })
    bar.setAttribute('aria-label', `${label}: ${percent}`)
    item.append(
      make('div', { className: 'prediction' }, make('span', {}, label), make('span', {}, percent), bar),
    )
  }
}

function showProgress(): void {
  const done = results.filter(({ predictions, error }) => predictions ?? error).length
  const failed = results.filter(({ error }) => error !== undefined).length
  const failures = failed === 0 ? '' : `, ${failed} could not be read`
  status.textContent = results.length === 0 ? '' : `${done} of ${results.length} images${failures}`
}

function clear(): void {
  session++
  for (const image of list.querySelectorAll('img')) URL.revokeObjectURL(image.src)
  list.replaceChildren()
  results = []
  waiting = []
  find('results-section').hidden = true
  showProgress()
}

function download(name: string, type: string, text: string): void {
  const href = URL.createObjectURL(new Blob([text], { type }))
  make('a', { href, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(href), 10_000)
}

/** A cell of a CSV file. A spreadsheet would evaluate text that begins like a formula. */
function cell(value: unknown): string {
  const text = String(value ?? '')
  const safe = typeof value === 'string' && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}

function csv(): string {
  const rows: unknown[][] = [['file', 'model', 'rank', 'label', 'index', 'score', 'error']]
  for (const { file, model, predictions, error } of results) {
    if (error !== undefined) rows.push([file, model, '', '', '', '', error])
    for (const [rank, { label, index, score }] of (predictions ?? []).entries())
      rows.push([file, model, rank + 1, label, index, score, ''])
  }
  return rows.map(row => `${row.map(cell).join(',')}\r\n`).join('')
}

async function copy(button: HTMLButtonElement): Promise<void> {
  const code = find(button.dataset.copy!)
  const label = button.textContent
  try {
    await navigator.clipboard.writeText(code.textContent ?? '')
    button.textContent = 'Copied'
  } catch {
    getSelection()?.selectAllChildren(code) // without https, there is no clipboard
    button.textContent = 'Selected: press Ctrl+C'
  }
  setTimeout(() => {
    button.textContent = label
  }, 2000)
}

for (const id of ['files', 'camera']) {
  const input = find<HTMLInputElement>(id)
  input.addEventListener('change', () => {
    add(input.files ?? [])
    input.value = '' // so that the same file can be chosen again
  })
}
const drop = find('drop')
document.addEventListener('dragover', event => {
  event.preventDefault()
  drop.classList.add('over')
})
document.addEventListener('dragleave', event => {
  if (event.relatedTarget === null) drop.classList.remove('over')
})
document.addEventListener('drop', event => {
  event.preventDefault()
  drop.classList.remove('over')
  add(event.dataTransfer?.files ?? [])
})
document.addEventListener('paste', event => add(event.clipboardData?.files ?? []))
find('key-form').addEventListener('submit', event => {
  event.preventDefault()
  setKey(find<HTMLInputElement>('key').value)
  run()
})
modelSelect.addEventListener('change', showModel)
topK.addEventListener('change', showCode)
find('json').addEventListener('click', () =>
  download('predictions.json', 'application/json', JSON.stringify(results, null, 2)),
)
find('csv').addEventListener('click', () => download('predictions.csv', 'text/csv', csv()))
find('clear').addEventListener('click', clear)
for (const name of ['training', 'predicting'] as const)
  find(`show-${name}`).addEventListener('click', () => view(name))
for (const button of document.querySelectorAll<HTMLButtonElement>('[data-copy]'))
  button.addEventListener('click', () => copy(button))

function run(): void {
  start().catch((error: Error) => {
    status.textContent = `The server cannot be reached: ${error.message}`
  })
}
run()
