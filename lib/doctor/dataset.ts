import { availableParallelism } from 'node:os'
import { resolve } from 'node:path'
import { checkClassNames, readClasses } from '../data/class-names.js'
import type { Columns } from '../data/columns.js'
import type { Sample } from '../data/dataset.js'
import { type Layout, layoutClasses, layoutProblems, namesAlike, readLayout } from '../data/layout.js'
import { checkNoColumns, findAnnotations, openDataset, sourceFiles } from '../data/open.js'
import { pause, SLICE } from '../data/sort.js'
import { check, is } from '../util/is.js'
import { type Finding, Findings } from './finding.js'
import { checkImage, describeOther } from './image.js'

/** The result of {@link checkDataset}, in plain values: `visiontorch doctor --data DIR --json` prints it. */
export interface DatasetReport {
  /** The absolute path that was checked. */
  root: string
  classes: string[]
  splits: { name: string; images: number; classes: { label: string; images: number }[] }[]
  /** Findings by kind, errors first. */
  findings: Finding[]
  /** Whether training would run and give meaningful results: no finding is an error. */
  ok: boolean
}

export interface CheckDatasetOptions {
  /**
   * The classes, or a file with one per line, like `--classes`. Default: the folders' names, or the list next to the
   * annotations.
   */
  classes?: string | readonly string[] | undefined
  /** The columns of a table. */
  columns?: Columns | undefined
  /** The batch size for training. Default 32. */
  batchSize?: number | undefined
  signal?: AbortSignal | undefined
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined
}

/** An image, with its place in the data set if it has one. */
interface Entry extends Pick<Sample, 'path' | 'read'> {
  place?: { split: string; label: string }
}

type Placed = Required<Pick<Entry, 'path' | 'place'>>

/** If the largest class has at least this many times the images of the smallest one, their sizes are reported. */
const IMBALANCE = 10

/**
 * Looks for everything in a data set that would disturb training. Reads every image once and decodes it as training does.
 *
 * @param data A folder of images, or an annotation file, as `train()` takes them.
 * @throws ERR_DATASET if there is nothing to check: the folder does not exist, or the annotation file cannot be understood.
 */
export async function checkDataset(data: string, options: CheckDatasetOptions = {}): Promise<DatasetReport> {
  check.options('options', options, ['classes', 'columns', 'batchSize', 'signal', 'onProgress'])
  const batchSize = check.integer('batchSize', options.batchSize ?? 32, 1)
  const given = is.string(options.classes)
    ? await readClasses(options.classes, options.signal)
    : options.classes === undefined
      ? undefined
      : checkClassNames('classes', options.classes)
  const path = resolve(check.string('data', data))
  const findings = new Findings()
  const isSource = (await sourceFiles(path)) !== undefined
  const listed = isSource ? path : (await findAnnotations(path, given)).annotations
  if (listed === undefined) checkNoColumns(options.columns ?? {}, path)
  const { root, classes, entries } =
    listed === undefined
      ? await inFolders(path, given, findings, options.signal)
      : await opened(listed, given, findings, options)
  await checkImages(entries, findings, options)
  const splits = countSplits(entries, classes)
  for (const { name, classes: counts } of splits) {
    if (name === 'train') checkTraining(root, counts, batchSize, findings)
    else
      for (const { label, images } of counts)
        if (images === 0) findings.add('absent-class', root, `'${label}' in ${name}`)
  }
  checkSizes(root, splits, findings)
  for (const name of namesAlike(classes)) findings.add('names-alike', root, `'${name}'`)
  const list = findings.list()
  return { root, classes, splits, findings: list, ok: !list.some(({ severity }) => severity === 'error') }
}

interface Survey {
  root: string
  classes: string[]
  entries: Entry[]
}

/** Opens a data set that names the class of each image, as training does. */
async function opened(
  path: string,
  given: readonly string[] | undefined,
  findings: Findings,
  { columns, signal }: CheckDatasetOptions,
): Promise<Survey> {
  const options = { valFraction: 0, classes: given, columns, signal }
  const { root, classes, splits, warnings } = await openDataset(path, options)
  for (const warning of warnings) findings.add('note', root, warning)
  const entries = [...splits].flatMap(([split, samples]) =>
    samples.map(({ label, ...image }) => ({ ...image, place: { split, label: classes[label]! } })),
  )
  return { root, classes: [...classes], entries }
}

async function inFolders(
  path: string,
  given: readonly string[] | undefined,
  findings: Findings,
  signal: AbortSignal | undefined,
): Promise<Survey> {
  const layout: Layout = await readLayout(path, { signal })
  for (const problem of layoutProblems(layout, given)) findings.add('layout', layout.root, problem)
  for (const note of layout.notes) findings.add('note', layout.root, note)
  for (const file of layout.loose) findings.add('loose', file, '')
  for (const file of layout.junk) findings.add('junk', file, '')
  const entries: Entry[] = layout.loose.map(path => ({ path }))
  for (const { split, name, images, others } of layout.folders) {
    for (const image of images) entries.push({ path: image, place: { split, label: name } })
    for (const other of others) findings.add('passed-over', other, await describeOther(other))
  }
  return { root: layout.root, classes: [...(given ?? layoutClasses(layout))], entries }
}

async function checkImages(
  entries: readonly Entry[],
  findings: Findings,
  { signal, onProgress }: CheckDatasetOptions,
): Promise<void> {
  const total = entries.length
  const issues: { kind: Finding['kind']; detail: string }[][] = new Array(total)
  const copies = new Map<string, Placed[]>()
  const digests: (string | undefined)[] = new Array(total)
  let next = 0
  let done = 0
  const work = async (): Promise<void> => {
    while (next < total) {
      signal?.throwIfAborted()
      const index = next++
      const checked = await checkImage(entries[index]!, signal)
      issues[index] = checked.issues
      digests[index] = checked.digest
      onProgress?.({ done: ++done, total })
    }
  }
  await Promise.all(Array.from({ length: availableParallelism() }, work))
  // Findings are in the order of the files, not in the order in which decoding finished.
  for (const [index, entry] of entries.entries()) {
    for (const { kind, detail } of issues[index]!) findings.add(kind, entry.path, detail)
    if (index % SLICE === SLICE - 1) await pause(signal)
    const { path, place } = entry
    const digest = digests[index]
    if (digest === undefined || place === undefined) continue
    const same = copies.get(digest)
    if (same === undefined) copies.set(digest, [{ path, place }])
    else same.push({ path, place })
  }
  for (const same of copies.values()) if (same.length > 1) addDuplicates(same, findings)
}

function addDuplicates(same: readonly Placed[], findings: Findings): void {
  const [{ path, place }, ...others] = same as [Placed, ...Placed[]]
  const kind = others.some(other => other.place.label !== place.label)
    ? 'conflicting-labels'
    : others.some(other => other.place.split !== place.split)
      ? 'leak'
      : 'duplicates'
  const shown = others.map(other => `${other.path} (${other.place.split}, '${other.place.label}')`)
  findings.add(kind, path, `as '${place.label}' in ${place.split}; also ${shown.join(' and ')}`)
}

function countSplits(entries: readonly Entry[], classes: readonly string[]): DatasetReport['splits'] {
  const counts = new Map<string, Map<string, number>>()
  for (const { place } of entries) {
    if (place === undefined) continue
    const ofSplit = counts.get(place.split) ?? new Map(classes.map(name => [name, 0]))
    counts.set(place.split, ofSplit.set(place.label, (ofSplit.get(place.label) ?? 0) + 1))
  }
  return [...counts].map(([name, ofSplit]) => {
    const list = [...ofSplit].map(([label, images]) => ({ label, images }))
    return { name, images: list.reduce((sum, { images }) => sum + images, 0), classes: list }
  })
}

function checkTraining(root: string, counts: Counts, batchSize: number, findings: Findings): void {
  const images = counts.reduce((sum, { images }) => sum + images, 0)
  const batch = Math.min(batchSize, images)
  if (batch === 1) findings.add('batch-of-one', root, `${images} training images, batches of ${batchSize}`)
  else if (images % batch === 1)
    findings.add('joined-batch', root, `${images} training images, batches of ${batch}`)
  checkBalance(root, counts, findings)
}

function checkSizes(root: string, splits: DatasetReport['splits'], findings: Findings): void {
  const train = splits.find(({ name }) => name === 'train')
  const others = splits.filter(({ name }) => name !== 'train')
  for (const { name, images } of others)
    if (train !== undefined && images > train.images)
      findings.add('uneven-splits', root, `${train.images} in train, ${images} in ${name}`)
}

type Counts = DatasetReport['splits'][number]['classes']

function checkBalance(root: string, counts: Counts, findings: Findings): void {
  const sorted = counts.filter(({ images }) => images > 0).sort((a, b) => a.images - b.images)
  const [smallest, largest] = [sorted[0], sorted.at(-1)]
  if (smallest === undefined || largest === undefined || largest.images < IMBALANCE * smallest.images) return
  findings.add(
    'imbalance',
    root,
    `'${smallest.label}' has ${smallest.images} training images, '${largest.label}' has ${largest.images}`,
  )
}
