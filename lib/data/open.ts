import { access, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { VisionTorchError } from '../errors.js'
import { toPath } from '../file-name.js'
import { check } from '../is.js'
import { annotationsFile, CLASSES_FILE, fromAnnotations } from './annotations.js'
import { type Dataset, type DatasetOptions, type SplitName, splitOrder } from './dataset.js'
import { ImageFolder } from './image-folder.js'

/**
 * Opens what a user calls "the data": a folder of images (see {@link ImageFolder}), or an annotation file with
 * `cls_classes.txt` beside it. `cls_train.txt` brings `cls_val.txt` and `cls_test.txt` along where they are there too.
 *
 * @throws ERR_DATASET, as {@link ImageFolder.open} and {@link fromAnnotations} do.
 */
export async function openDataset(data: string, options: DatasetOptions = {}): Promise<Dataset> {
  const path = resolve(check.string('data', data))
  const isFile = await stat(toPath(path)).then(
    found => found.isFile(),
    () => false,
  )
  if (!isFile) return ImageFolder.open(path, options)
  const classes = join(dirname(path), CLASSES_FILE)
  if (!(await exists(classes))) {
    throw new VisionTorchError(
      'ERR_DATASET',
      `${path}: expected the class names in ${CLASSES_FILE} beside it. Write it, a name a line, or run visiontorch annotate`,
    )
  }
  return fromAnnotations(await annotationFiles(path), classes, options)
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

const exists = (path: string): Promise<boolean> =>
  access(toPath(path)).then(
    () => true,
    () => false,
  )
