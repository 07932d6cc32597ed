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

/** The files of classification-pytorch: a line an image, `<class id>;<path>`, and a line a class. */
export const CLASSES_FILE = 'cls_classes.txt'
export const annotationsFile = (split: SplitName): string => `cls_${split}.txt`

/**
 * A data set from annotation files: a line an image, `<class id>;<path>`. A path may hold spaces, `;` and any other
 * character; a relative one counts from the file's own folder. If the images are not there, as after the folder was
 * moved, the ends of the paths are looked for below the file's folder.
 *
 * @param files One file, or one for each split: `{ train: 'cls_train.txt', test: 'cls_test.txt' }`. A single file is
 *   the split `train`, of which a share is held out for validation (`valFraction`, 0 for none).
 * @param classes The class names in the order of their ids, or a file with one a line (`cls_classes.txt`).
 * @throws ERR_DATASET when a file cannot be read or a line of it is not understood; the message names the line.
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
        `The images of ${path} are not where it says: those below ${printable(moved.from)} are read from ${moved.to}.`,
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
  /** Write paths relative to the folder of the files, so that it can be moved with its images. Default false: absolute. */
  relative?: boolean
}

/**
 * Writes `cls_classes.txt`, `cls_train.txt` and `cls_test.txt` into a folder, as classification-pytorch reads them: what is
 * validated on is its test. The folder is created if it does not exist. A data set with both `val` and `test` gives
 * `cls_val.txt` as well.
 * @returns the paths of the files, with the number of lines of each.
 * @throws ERR_DATASET when a path holds a line break, ERR_FILE_WRITE.
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
        `${path}: expected an image in a file of its own, which an annotation can name. Unpack the images first`,
      )
    }
    if (/[\r\n]/.test(path)) {
      throw new VisionTorchError(
        'ERR_DATASET',
        `${path}: a line break cannot be in an annotation file. Rename it`,
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

/** Classes of the list that no annotation names: often a sign of the wrong list. */
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
  const remedy = 'Give the list of classes that the annotations were made with'
  throw new VisionTorchError('ERR_DATASET', `${where}: ${range}, got ${printable(id, 20)}. ${remedy}`)
}

const FORMAT = "Expected lines '<class id>;<path>'"
