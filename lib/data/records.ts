import { VisionTorchError } from '../util/errors.js'
import { check, is } from '../util/is.js'
import { printable } from '../util/text.js'
import { withoutImages } from './annotations.js'
import { checkDatasetClasses, classNameProblem, readClasses } from './class-names.js'
import {
  type DatasetOptions,
  type Sample,
  SampleDataset,
  type SplitName,
  splitName,
  splitOrder,
} from './dataset.js'
import { holdOut, holdOutOptions } from './hold-out.js'
import { byCodePoint, pause, SLICE } from './sort.js'

/** A labelled image as a file or a program describes it: its class and its split are still text. */
export interface ImageRecord extends Omit<Sample, 'label'> {
  /** The place of the description, for errors: `labels.csv:7`. */
  where: string
  label: string
  /** Undefined means `train`. */
  split: string | undefined
}

/** Options for opening a data set that names the class of each image. */
export interface SourceOptions extends DatasetOptions {
  /**
   * The classes in the order of their ids, or a file with one per line. A label is then the name of one of them, or its index.
   * Default: the labels of the training images, sorted as numbers or as text.
   */
  classes?: string | readonly string[]
}

export const sourceOptionNames = ['classes', 'valFraction', 'seed', 'signal', 'onProgress'] as const

/** The source of records. */
export interface RecordSource {
  /** The name of the data set. */
  root: string
  /** The path that opens it again; null if there is none. */
  source: string | null
  records: AsyncIterable<ImageRecord>
  /** The names of its classes, if it has them. */
  classes?: readonly string[] | undefined
}

/**
 * Creates a data set from records, in their order.
 * @throws ERR_DATASET for a label that is not one of the classes, and for a split other than train, val and test.
 */
export async function datasetOfRecords(
  { root, source, records, classes: own }: RecordSource,
  options: SourceOptions,
): Promise<SampleDataset> {
  const held = holdOutOptions(options)
  const { signal } = options
  const given = is.string(options.classes)
    ? await readClasses(options.classes, signal)
    : options.classes === undefined
      ? own && checkDatasetClasses(root, own)
      : checkDatasetClasses('classes', options.classes)
  const found = new Map<SplitName, ImageRecord[]>()
  let count = 0
  for await (const record of records) {
    const split = splitOf(record)
    const others = found.get(split)
    if (others === undefined) found.set(split, [record])
    else others.push(record)
    if (++count % SLICE === 0) {
      options.onProgress?.({ files: count })
      await pause(signal)
    }
  }
  signal?.throwIfAborted()
  options.onProgress?.({ files: count })
  if (count === 0) throw new VisionTorchError('ERR_DATASET', `${root}: no images`)
  const classes = given ?? namesOf(root, found)
  const labels = new Map(classes.map((name, label) => [name, label]))
  const splits = new Map<SplitName, Sample[]>()
  for (const split of splitOrder) {
    const ofSplit = found.get(split)
    if (ofSplit === undefined) continue
    const samples: Sample[] = []
    for (const record of ofSplit) {
      const { path, read } = record
      const label = labels.get(record.label) ?? (given && indexOf(record.label, classes.length))
      if (label === undefined) throw unknownLabel(record, classes)
      samples.push(read === undefined ? { path, label } : { path, label, read })
      if (samples.length % SLICE === 0) await pause(signal)
    }
    splits.set(split, samples)
  }
  const warnings = [...(await holdOut(splits, root, held)), ...withoutImages(splits, classes)]
  return new SampleDataset(root, classes, splits, warnings, source)
}

function splitOf({ split, where }: ImageRecord): SplitName {
  if (split === undefined) return 'train'
  const known = splitName(split)
  if (known !== undefined) return known
  throw new VisionTorchError(
    'ERR_DATASET',
    `${where}: expected one of the splits ${splitOrder.join(', ')}, got '${printable(split, 40)}'`,
  )
}

/** The labels of the training images, or of all images if there is no training split. */
function namesOf(root: string, found: ReadonlyMap<SplitName, readonly ImageRecord[]>): readonly string[] {
  const records = found.get('train') ?? [...found.values()].flat()
  const names = [...new Set(records.map(({ label }) => label))]
  const isNumeric = names.every(name => /^\d+$/.test(name))
  names.sort(isNumeric ? (a, b) => Number(a) - Number(b) || byCodePoint(a, b) : byCodePoint)
  return checkDatasetClasses(`${root}: the labels`, names)
}

function indexOf(label: string, classes: number): number | undefined {
  return /^\d+$/.test(label) && Number(label) < classes ? Number(label) : undefined
}

function unknownLabel({ where, label }: ImageRecord, classes: readonly string[]): VisionTorchError {
  const names = classes.slice(0, 5).map(name => printable(name, 40))
  const shown = classes.length > 5 ? `${names.join(', ')}, ...` : names.join(', ')
  return new VisionTorchError(
    'ERR_DATASET',
    `${where}: the label '${printable(label, 60)}' is not one of the ${classes.length} classes (${shown}). ` +
      'Correct it, or give the list of classes with which the labels were made',
  )
}

/** Converts a label from a file or a program. Numbers are the indices of classes, or names. */
export function labelText(value: unknown, where: string): string {
  const isIndex = (typeof value === 'bigint' || is.integer(value)) && value >= 0
  const text = isIndex ? String(value) : typeof value === 'string' ? value.trim() : ''
  const fault = text === '' ? undefined : classNameProblem(text)
  if (fault !== undefined) {
    const shown = printable(text, 60)
    throw new VisionTorchError('ERR_DATASET', `${where}: the label '${shown}' ${fault}. Correct it`)
  }
  if (text !== '') return text
  const got = typeof value === 'string' ? 'an empty label' : printable(String(value), 40)
  throw new VisionTorchError(
    'ERR_DATASET',
    `${where}: expected a label, the name of a class or its index from 0, got ${got}`,
  )
}

/** Checks the options that every source takes, and `more`. If `name` is given, it must be a non-empty string. */
export function checkSourceOptions(options: object, more: readonly string[]): void {
  check.options('options', options, [...sourceOptionNames, ...more])
  for (const name of more) {
    const value = (options as Record<string, unknown>)[name]
    if (value !== undefined) check.string(name, value)
  }
}
