import { mkdir } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import { VisionTorchError } from '../errors.js'
import { decodeName, encodeName, escapeName, unescapeName } from '../file-name.js'
import { cannotWrite, openRegular, replaceFile } from '../files.js'
import { check, invalid, is } from '../is.js'
import {
  type Dataset,
  type DatasetOptions,
  type Sample,
  SampleDataset,
  type SplitName,
  splitOrder,
} from './dataset.js'
import { holdOut, holdOutOptions } from './hold-out.js'

/** The files of the seed platform: a line an image, `<class id>;<path>`, and a line a class. */
export const CLASSES_FILE = 'cls_classes.txt'
export const annotationsFile = (split: SplitName): string => `cls_${split}.txt`

/**
 * A data set from annotation files: a line an image, `<class id>;<path>`. A path may hold spaces, `;` and any other
 * character; a relative one counts from the file's own folder.
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
  const names = typeof classes === 'string' ? await readClasses(classes) : checkClasses('classes', classes)
  const paths = splitFiles(files)
  const splits = new Map<SplitName, Sample[]>()
  let before = 0
  for (const [split, path] of paths) {
    const onSamples = (count: number): void => options.onProgress?.({ files: before + count })
    const samples = await readAnnotations(path, names, onSamples, options.signal)
    splits.set(split, samples)
    before += samples.length
  }
  const root = dirname([...paths.values()][0]!)
  const warnings = await holdOut(splits, root, held)
  return new SampleDataset(root, names, splits, warnings)
}

export interface WriteAnnotationsOptions {
  /** Write paths relative to the folder of the files, so that it can be moved with its images. Default false: absolute. */
  relative?: boolean
}

/**
 * Writes `cls_classes.txt`, `cls_train.txt` and `cls_test.txt` into a folder, as the seed platform reads them: what is
 * validated on is its test. The folder is created if it does not exist. A data set with both `val` and `test` gives
 * `cls_val.txt` as well.
 * @returns the paths of the files, with the number of lines of each.
 * @throws ERR_DATASET when a path holds a line break, ERR_FILE_WRITE.
 */
export async function writeAnnotations(
  data: Dataset,
  folder: string,
  { relative: isRelative = false }: WriteAnnotationsOptions = {},
): Promise<Map<string, number>> {
  const written = new Map<string, number>()
  const write = async (name: string, lines: string[]): Promise<void> => {
    const path = resolve(folder, name)
    await replaceFile(path, encodeName(lines.map(line => `${line}\n`).join('')))
    written.set(path, lines.length)
  }
  const line = ({ path, label }: Sample): string => {
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

function splitFiles(files: string | Partial<Record<SplitName, string>>): Map<SplitName, string> {
  if (is.string(files)) return new Map([['train', resolve(files)]])
  if (!is.object(files)) throw invalid('files', 'a path, or an object with a path for each split', files)
  check.options('files', files, splitOrder)
  const given = splitOrder.filter(split => files[split] !== undefined)
  if (given.length === 0) throw invalid('files', 'at least one of train, val and test', files)
  return new Map(given.map(split => [split, resolve(check.string(`files.${split}`, files[split]))]))
}

/** Class names, a line each, as in `cls_classes.txt`. */
export async function readClasses(path: string): Promise<string[]> {
  const text = await readText(path).catch(error => {
    throw unreadable(path, error)
  })
  const names = withoutMark(text)
    .split(/\r?\n/)
    .filter(line => line.trim() !== '')
    .map(unescapeName)
  return checkClasses(path, names)
}

function checkClasses(source: string, names: readonly string[]): string[] {
  const problem = (message: string): VisionTorchError =>
    new VisionTorchError('ERR_DATASET', `${source}: ${message}`)
  if (!Array.isArray(names) || !names.every(is.string)) throw invalid(source, 'class names', names)
  if (names.length < 2) throw problem(`expected at least two class names, a line each, got ${names.length}`)
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw problem(`the class '${twice}' is there twice. Give every class its own name`)
  return [...names]
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
  const add = (bytes: string): void => {
    const text = decodeName(Buffer.from(bytes, 'latin1'))
    const line = (++number === 1 ? withoutMark(text) : text).replace(/\r$/, '')
    if (line.trim() === '') return
    const { id, image } = parseLine(line, `${path}:${number}`, classes.length)
    samples.push({ path: resolve(folder, image), label: id })
  }
  // Not node:readline: it also breaks lines at U+2028 and U+2029, which a file name may hold.
  // As Latin-1, whose characters are the bytes: a file name need not be UTF-8.
  let rest = ''
  try {
    const { file } = await openRegular(path)
    for await (const chunk of file.createReadStream({ encoding: 'latin1', signal })) {
      const lines = (rest + chunk).split('\n')
      rest = lines.pop()!
      lines.forEach(add)
      onSamples(samples.length)
    }
  } catch (error) {
    signal?.throwIfAborted()
    throw error instanceof VisionTorchError && error.code !== 'ERR_FILE_READ'
      ? error
      : unreadable(path, error)
  }
  add(rest)
  if (samples.length === 0) throw new VisionTorchError('ERR_DATASET', `${path}: no images. ${FORMAT}`)
  return samples
}

function parseLine(line: string, where: string, classes: number): { id: number; image: string } {
  const [, id, image] = /^\s*(\d+)\s*;(.*\S.*)$/s.exec(line) ?? []
  if (id === undefined || image === undefined) {
    throw new VisionTorchError('ERR_DATASET', `${where}: ${FORMAT}, got '${line.slice(0, 80)}'`)
  }
  if (Number(id) < classes) return { id: Number(id), image }
  const range = `expected a class id from 0 to ${classes - 1} (there are ${classes} classes)`
  throw new VisionTorchError('ERR_DATASET', `${where}: ${range}, got ${id}`)
}

const FORMAT = "Expected lines '<class id>;<path>'"

/** Without the byte order mark that Windows editors put first. */
const withoutMark = (text: string): string => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text)

async function readText(path: string): Promise<string> {
  const { file } = await openRegular(path)
  try {
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

function unreadable(path: string, cause: unknown): VisionTorchError {
  if (cause instanceof VisionTorchError) return new VisionTorchError('ERR_DATASET', cause.message, { cause })
  const { code } = cause as NodeJS.ErrnoException
  return new VisionTorchError(
    'ERR_DATASET',
    `${path}: cannot be read (${code}). Check that the file is there`,
    {
      cause,
    },
  )
}
