import { stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { toPath } from '../util/file-name.js'
import { check, invalid, is, refuse } from '../util/is.js'
import { annotationsFile, CLASSES_FILE, fromAnnotations } from './annotations.js'
import { readClasses } from './class-names.js'
import type { Columns } from './columns.js'
import { checkDataset, type Dataset, type DatasetOptions, type SplitName, splitOrder } from './dataset.js'
import { ImageFolder } from './image-folder.js'
import { isUnnamed } from './labels.js'
import { fromParquet } from './parquet.js'
import { exists } from './relocate.js'
import { fromCsv, fromJsonLines, type TableOptions } from './table.js'
import { listFolder } from './walk.js'
import { fromWebDataset } from './web-dataset.js'

export interface OpenOptions extends DatasetOptions {
  /**
   * The classes in the order of their ids, or a file with one per line. Default: the folders' names, or the list next
   * to the annotations.
   */
  classes?: string | readonly string[] | undefined
  /** The columns of a table. */
  columns?: Columns | undefined
  /** The classes of a trained model, for folders, and for annotations without a list next to them. */
  modelClasses?: readonly string[] | undefined
}

/**
 * Opens what a user calls "the data":
 *
 * - a folder of images, see {@link ImageFolder};
 * - an annotation file. With `cls_train.txt`, `cls_val.txt` and `cls_test.txt` in the same folder are opened too;
 * - a folder with `cls_train.txt` and no class folders, as for classification-pytorch;
 * - a file of another kind, see {@link fromCsv} (.csv, .tsv), {@link fromJsonLines} (.jsonl, .ndjson), {@link fromWebDataset} (.tar,
 *   .tar.gz, .tgz) and {@link fromParquet} (.parquet);
 * - a folder with nothing but tar or Parquet files, or with such files in its folder `data`, as on the Hugging Face Hub.
 *
 * The classes of annotations are in `cls_classes.txt` in the same folder or in `model_data`, as in classification-pytorch.
 *
 * @throws ERR_DATASET, as {@link ImageFolder.open} and {@link fromAnnotations} do.
 */
export async function openDataset(data: string, options: OpenOptions = {}): Promise<Dataset> {
  const { classes: given, modelClasses, columns = {}, ...rest } = options
  const path = resolve(check.string('data', data))
  const classes = is.string(given) ? await readClasses(given, options.signal) : given
  const files = await sourceFiles(path)
  if (files !== undefined) {
    const known = classes ?? (modelClasses && !isUnnamed(modelClasses) ? modelClasses : undefined)
    return openSource(files, { ...rest, ...columns, ...(known && { classes: known }) })
  }
  checkNoColumns(columns, path)
  const { annotations, list } = await findAnnotations(path, classes)
  if (annotations === undefined) {
    const ofFolders = classes ?? (modelClasses && !isUnnamed(modelClasses) ? modelClasses : undefined)
    return ImageFolder.open(path, { ...rest, ...(ofFolders && { classes: ofFolders }) })
  }
  const known = classes ?? list ?? modelClasses
  if (known === undefined) {
    throw new VisionTorchError(
      'ERR_DATASET',
      `${annotations}: expected the class names in ${CLASSES_FILE} in the same folder, or in ${MODEL_DATA}. Write them there, one per line, or give another file with --classes FILE`,
    )
  }
  return fromAnnotations(await annotationFiles(annotations), known, rest)
}

/** @internal @throws ERR_INVALID_ARGUMENT if columns are named of data that has none. */
export function checkNoColumns(columns: Columns, path: string): void {
  if (Object.keys(columns).length === 0) return
  throw refuse(
    `columns: expected the data to be a table (.csv, .tsv, .jsonl, .ndjson or .parquet), got ${path}`,
    'columns',
  )
}

/** The data set for a path, see {@link openDataset}, or `data` itself if it is an open data set. */
export async function toDataset(data: unknown, options: OpenOptions): Promise<Dataset> {
  if (is.string(data)) return openDataset(data, options)
  if (is.object(data)) return checkDataset('data', data)
  throw invalid('data', 'a folder of images, an annotation file or a data set', data)
}

/** @internal The files for a path if they are of a kind that names the class of each image. */
export async function sourceFiles(path: string): Promise<string[] | undefined> {
  const isFolder = await stat(toPath(path)).then(
    found => found.isDirectory(),
    () => false,
  )
  if (!isFolder) return kindOf(path) === undefined ? undefined : [path]
  const { directories, files } = await listFolder(path)
  if (files.includes(annotationsFile('train'))) return undefined
  const [only, ...others] = directories
  const shards = (folder: string, names: readonly string[]) =>
    names.filter(name => isShard(kindOf(name))).map(name => join(folder, name))
  if (only === undefined) {
    const found = shards(path, files)
    return found.length > 0 ? found : undefined
  }
  if (only !== 'data' || others.length > 0) return undefined
  const inside = await listFolder(join(path, only))
  const found = inside.directories.length === 0 ? shards(join(path, only), inside.files) : []
  return found.length > 0 ? found : undefined
}

type Kind = 'csv' | 'jsonLines' | 'webDataset' | 'parquet'

function kindOf(path: string): Kind | undefined {
  if (/\.[ct]sv$/i.test(path)) return 'csv'
  if (/\.(jsonl|ndjson)$/i.test(path)) return 'jsonLines'
  if (/\.(tar|tar\.gz|tgz)$/i.test(path)) return 'webDataset'
  return /\.parquet$/i.test(path) ? 'parquet' : undefined
}

const isShard = (kind: Kind | undefined): boolean => kind === 'webDataset' || kind === 'parquet'

async function openSource(files: string[], options: TableOptions): Promise<Dataset> {
  const [first] = files as [string]
  const kind = kindOf(first)!
  if (!isShard(kind)) return (kind === 'csv' ? fromCsv : fromJsonLines)(first, options)
  const other = files.find(file => kindOf(file) !== kind)
  if (other !== undefined) {
    throw new VisionTorchError(
      'ERR_DATASET',
      `${dirname(first)}: expected files of one kind, got ${basename(first)} and ${basename(other)}. Move one kind to another folder`,
    )
  }
  if (kind === 'parquet') return fromParquet(files, options)
  const { image, split, ...rest } = options
  if (image !== undefined || split !== undefined) {
    throw refuse(
      `columns: expected only label for tar shards, whose images are found by their extensions, got ${image === undefined ? 'split' : 'image'}`,
      'columns',
    )
  }
  return fromWebDataset(files, rest)
}

/** The folder in which classification-pytorch keeps its list of classes. */
const MODEL_DATA = 'model_data'

const classLists = (folder: string): string[] => [
  join(folder, CLASSES_FILE),
  join(folder, MODEL_DATA, CLASSES_FILE),
]

async function firstExisting(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await exists(path)) return path
  return undefined
}

/**
 * The annotation file for a path, if any, and its list of classes. If a folder also has class folders, these win:
 * `visiontorch annotate` writes its files into a folder of photos, which may grow afterwards.
 */
export async function findAnnotations(
  path: string,
  classes?: readonly string[],
): Promise<{ annotations?: string; list?: string | undefined }> {
  const isFile = await stat(toPath(path)).then(
    found => found.isFile(),
    () => false,
  )
  const annotations = isFile ? path : join(path, annotationsFile('train'))
  if (!isFile && !(await exists(annotations))) return {}
  const list = await firstExisting(classLists(dirname(annotations)))
  if (isFile) return { annotations, list }
  const [name] = classes ?? (list === undefined ? [] : await readClasses(list))
  const folders = name === undefined ? [] : [join(path, name), join(path, 'train', name)]
  return (await firstExisting(folders)) === undefined ? { annotations, list } : {}
}

async function annotationFiles(path: string): Promise<string | Partial<Record<SplitName, string>>> {
  const split = splitOrder.find(name => basename(path) === annotationsFile(name))
  if (split === undefined) return path
  const files: Partial<Record<SplitName, string>> = { [split]: path }
  if (split !== 'train') return files
  for (const other of ['val', 'test'] as const) {
    const beside = join(dirname(path), annotationsFile(other))
    if (await exists(beside)) files[other] = beside
  }
  return files
}
