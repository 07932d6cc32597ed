import { mkdir } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { encodeName, escapeName } from '../util/file-name.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { check, invalid, is } from '../util/is.js'
import { printable } from '../util/text.js'
import { checkDatasetClasses, readClasses } from './class-names.js'
import {
  checkDataset,
  type Dataset,
  type DatasetOptions,
  type Sample,
  SampleDataset,
  type SplitName,
  splitOrder,
} from './dataset.js'
import { holdOut, holdOutOptions } from './hold-out.js'
import { readLines } from './lines.js'
import { relocate } from './relocate.js'
import { quoted } from './split-folders.js'

/** The files of classification-pytorch: one line for each image, `<class id>;<path>`, and one line for each class. */
export const CLASSES_FILE = 'cls_classes.txt'
export const annotationsFile = (split: SplitName): string => `cls_${split}.txt`

/**
 * Opens a data set from annotation files with one line for each image, `<class id>;<path>`. A path may contain spaces, `;`
 * and any other character; a relative path is relative to the file's own folder. If the images are not there, for example
 * because the folder was moved, it looks for the last parts of the paths below the file's folder.
 *
 * @param files One file, or one for each split: `{ train: 'cls_train.txt', test: 'cls_test.txt' }`. A single file is
 *   the split `train`; a share of it is held out for validation (`valFraction`, 0 for none).
 * @param classes The class names in the order of their ids, or a file with one name per line (`cls_classes.txt`).
 * @throws ERR_DATASET if a file cannot be read or a line is invalid; the message names the line.
 */
export async function fromAnnotations(
  files: string | Partial<Record<SplitName, string>>,
  classes: string | readonly string[],
  options: DatasetOptions = {},
): Promise<SampleDataset> {
  check.options('options', options, ['valFraction', 'seed', 'signal', 'onProgress'])
  const held = holdOutOptions(options)
  const names = is.string(classes)
    ? await readClasses(classes, options.signal)
    : checkDatasetClasses('classes', classes)
  const paths = splitFiles(files)
  const splits = new Map<SplitName, Sample[]>()
  const warnings: string[] = []
  let before = 0
  for (const [split, path] of paths) {
    const onSamples = (count: number): void => options.onProgress?.({ files: before + count })
    const samples = await readAnnotations(path, names, onSamples, options.signal)
    const moved = await relocate(samples, dirname(path))
    if (moved !== undefined)
      warnings.push(
        `The images in ${path} have moved: those below ${printable(moved.from)} are read from ${moved.to} instead.`,
      )
    splits.set(split, moved?.samples ?? samples)
    before += samples.length
  }
  const source = [...paths.values()][0]!
  const root = dirname(source)
  warnings.push(...(await holdOut(splits, root, held)), ...withoutImages(splits, names))
  return new SampleDataset(root, names, splits, warnings, source)
}

export interface WriteAnnotationsOptions {
  /**
   * Writes paths relative to the folder of the files, so that it can be moved with its images. Default false:
   * absolute paths.
   */
  relative?: boolean
}

/**
 * Writes `cls_classes.txt`, `cls_train.txt` and `cls_test.txt` into a folder for classification-pytorch, which validates on
 * its test images. Creates the folder if it does not exist. If a data set has both `val` and `test`, it also writes
 * `cls_val.txt`.
 * @returns the paths of the files, with the number of lines in each.
 * @throws ERR_DATASET if a path contains a line break, ERR_FILE_WRITE.
 */
export async function writeAnnotations(
  data: Dataset,
  folder: string,
  options: WriteAnnotationsOptions = {},
): Promise<Map<string, number>> {
  checkDataset('data', data)
  check.string('folder', folder)
  check.options('options', options, ['relative'])
  const isRelative = check.boolean('relative', options.relative ?? false)
  const written = new Map<string, number>()
  const write = async (name: string, lines: string[]): Promise<void> => {
    const path = resolve(folder, name)
    await replaceFile(path, encodeName(lines.map(line => `${line}\n`).join('')))
    written.set(path, lines.length)
  }
  const line = ({ path, label, read }: Sample): string => {
    if (read !== undefined) {
      throw new VisionTorchError(
        'ERR_DATASET',
        `${path}: expected a separate file for each image, because an annotation names a file. Unpack the images first`,
      )
    }
    if (/[\r\n]/.test(path)) {
      throw new VisionTorchError(
        'ERR_DATASET',
        `${path}: expected a path without line breaks, which an annotation file cannot express. Rename it`,
      )
    }
    return `${label};${isRelative ? relative(resolve(folder), path) : path}`
  }
  await mkdir(folder, { recursive: true }).catch(cause => Promise.reject(cannotWrite(folder, cause)))
  await write(CLASSES_FILE, data.classes.map(escapeName))
  for (const [split, samples] of data.splits) {
    const only = split === 'val' && !data.splits.has('test')
    await write(annotationsFile(only ? 'test' : (split as SplitName)), samples.map(line))
  }
  return written
}

export function splitFiles(files: string | Partial<Record<SplitName, string>>): Map<SplitName, string> {
  if (is.string(files)) return new Map([['train', resolve(files)]])
  if (!is.object(files)) throw invalid('files', 'a path, or an object with a path for each split', files)
  check.options('files', files, splitOrder)
  const given = splitOrder.filter(split => files[split] !== undefined)
  if (given.length === 0) throw invalid('files', 'at least one of train, val and test', files)
  return new Map(given.map(split => [split, resolve(check.string(`files.${split}`, files[split]))]))
}

/** Warns of classes that no annotation names, often a sign of the wrong list. */
export function withoutImages(
  splits: ReadonlyMap<SplitName, readonly Sample[]>,
  classes: readonly string[],
): string[] {
  const train = splits.get('train')
  if (train === undefined) return []
  const used = new Set(train.map(({ label }) => label))
  const absent = classes.filter((_, label) => !used.has(label))
  return absent.length === 0 ? [] : [`No training images of the class ${quoted(absent)}.`]
}

async function readAnnotations(
  path: string,
  classes: readonly string[],
  onSamples: (count: number) => void,
  signal?: AbortSignal,
): Promise<Sample[]> {
  const folder = dirname(path)
  const samples: Sample[] = []
  let number = 0
  for await (const lines of readLines(path, signal)) {
    for (const line of lines) {
      number++
      if (line.trim() === '') continue
      const { id, image } = parseLine(line, `${path}:${number}`, classes.length)
      samples.push({ path: /^[a-z]:[\\/]/i.test(image) ? image : resolve(folder, image), label: id })
    }
    onSamples(samples.length)
  }
  if (samples.length === 0) throw new VisionTorchError('ERR_DATASET', `${path}: no images. ${FORMAT}`)
  return samples
}

function parseLine(line: string, where: string, classes: number): { id: number; image: string } {
  const [, id, image] = /^\s*(\d+)\s*;(.*\S.*)$/s.exec(line) ?? []
  if (id === undefined || image === undefined) {
    throw new VisionTorchError('ERR_DATASET', `${where}: ${FORMAT}, got '${printable(line, 80)}'`)
  }
  if (Number(id) < classes) return { id: Number(id), image }
  const range = `expected a class id from 0 to ${classes - 1} (there are ${classes} classes)`
  const remedy = 'Give the list of classes with which the annotations were made'
  throw new VisionTorchError('ERR_DATASET', `${where}: ${range}, got ${printable(id, 20)}. ${remedy}`)
}

const FORMAT = "Expected lines '<class id>;<path>'"
