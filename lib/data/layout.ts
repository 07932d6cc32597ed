import { stat } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { VisionTorchError } from '../errors.js'
import { toPath } from '../file-name.js'
import { check, closest } from '../is.js'
import { type SplitName, splitName, splitOrder } from './dataset.js'
import { listFiles, listFolder } from './walk.js'

/** The file name extensions of images, in lower case. */
const imageExtensions: ReadonlySet<string> = new Set(
  ['jpg', 'jpeg', 'jfif', 'png', 'webp', 'avif', 'gif', 'tif', 'tiff'].map(extension => `.${extension}`),
)

/** Whether a file is taken for an image by its name. */
export const hasImageExtension = (path: string): boolean => imageExtensions.has(extname(path).toLowerCase())

/** What a folder of a class holds, with its sub folders. */
export interface ClassFolder {
  readonly split: SplitName
  /** The class's name. */
  readonly name: string
  readonly path: string
  /** Absolute paths, in torchvision's order. */
  readonly images: string[]
  /** Files that are no images by their names. */
  readonly others: string[]
}

/** The folders of a data set as they are, whether training can use them or not. */
export interface Layout {
  readonly root: string
  /** The folder of each split; train's is the root itself where that holds the classes. */
  readonly splits: ReadonlyMap<SplitName, string>
  /** By split, then by name. */
  readonly folders: readonly ClassFolder[]
  /** Images that lie in no class folder. */
  readonly loose: readonly string[]
  /** What the names of the folders alone say is wrong. */
  readonly problems: readonly string[]
}

export const LAYOUT = 'Expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg, or DIR/<class>/*.jpg'

export interface LayoutOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: { files: number }) => void) | undefined
}

/**
 * Lists what lies below the root of a data set; reads no image.
 * @throws ERR_DATASET when a folder cannot be read.
 */
export async function readLayout(path: string, options: LayoutOptions = {}): Promise<Layout> {
  const root = resolve(check.string('root', path))
  try {
    if (!(await stat(toPath(root))).isDirectory()) throw datasetError(root, `is not a folder. ${LAYOUT}`)
    const { splits, problems } = await splitFolders(root, options.signal)
    const folders: ClassFolder[] = []
    const loose: string[] = []
    let count = 0
    const onFiles = (files: number): void => {
      count += files
      options.onProgress?.({ files: count })
    }
    for (const [split, folder] of splits) {
      const { directories, files } = await listFolder(folder, options.signal)
      loose.push(...files.filter(hasImageExtension).map(name => join(folder, name)))
      for (const name of directories) {
        folders.push(await classFolder(split, name, join(folder, name), onFiles, options.signal))
      }
    }
    return { root, splits, folders, loose, problems }
  } catch (cause) {
    const { code, path: where } = cause as NodeJS.ErrnoException
    if (code === undefined || where === undefined) throw cause
    const message =
      code === 'ENOENT' && where === String(toPath(root))
        ? `no such folder. ${LAYOUT}`
        : `cannot read ${where} (${code}). Check that it exists and may be read`
    throw datasetError(root, message, cause)
  }
}

export const datasetError = (root: string, message: string, cause?: unknown): VisionTorchError =>
  new VisionTorchError('ERR_DATASET', `${root}: ${message}`, cause === undefined ? {} : { cause })

async function splitFolders(root: string, signal?: AbortSignal) {
  const { directories } = await listFolder(root, signal)
  const found = new Map<SplitName, string>()
  const problems: string[] = []
  for (const directory of directories) {
    const name = splitName(directory)
    if (name === undefined) continue
    const other = found.get(name)
    if (other === undefined) found.set(name, directory)
    else problems.push(`two folders for the split '${name}': '${other}' and '${directory}'. Keep one of them`)
  }
  const present = splitOrder.filter(name => found.has(name))
  const splits = new Map(present.map(name => [name, join(root, found.get(name)!)]))
  if (splits.size === 0) splits.set('train', root)
  return { splits, problems }
}

async function classFolder(
  split: SplitName,
  name: string,
  path: string,
  onFiles: (count: number) => void,
  signal?: AbortSignal,
): Promise<ClassFolder> {
  const images: string[] = []
  const others: string[] = []
  for await (const files of listFiles(path, signal)) {
    for (const file of files) (hasImageExtension(file) ? images : others).push(file)
    onFiles(files.length)
  }
  return { split, name, path, images, others }
}

/** The classes: the names of train's folders. */
export const layoutClasses = ({ folders }: Layout): string[] =>
  folders.filter(({ split }) => split === 'train').map(({ name }) => name)

/** What keeps training, or evaluation where the classes were given, from using a layout: a sentence each. */
export function layoutProblems(layout: Layout, given?: readonly string[]): string[] {
  const { splits, folders, loose } = layout
  const problems = [...layout.problems]
  const train = splits.get('train')
  const classes = given ?? layoutClasses(layout)
  if (given === undefined) {
    if (train === undefined) {
      const other = splits.keys().next().value
      return [...problems, `has a folder for the split '${other}' but none that is called 'train'. ${LAYOUT}`]
    }
    if (classes.length === 0) {
      const hint = loose.length > 0 ? `: its ${loose.length} images lie in no class folder` : ''
      return [...problems, `no class folders in ${train}${hint}. ${LAYOUT}`]
    }
    if (classes.length === 1) {
      problems.push(
        `a classifier needs at least two classes, got one folder ('${classes[0]}') in ${train}. ${LAYOUT}`,
      )
    }
  }
  for (const [split, path] of splits) {
    const own = folders.filter(folder => folder.split === split)
    for (const { name } of own.filter(folder => !classes.includes(folder.name))) {
      const near = closest(name, classes)
      const hint = near === undefined ? '' : ` Did you mean '${near}'?`
      const known = given === undefined ? "'train' lacks" : 'the given classes lack'
      problems.push(`${known} the class '${name}' of ${path}.${hint} Name the folders alike, or remove it`)
    }
    const empty = own.filter(({ images }) => images.length === 0)
    if (empty.length === own.length) {
      problems.push(`no images below ${path}. Expected files ending in ${[...imageExtensions].join(', ')}`)
    } else if (split === 'train' && given === undefined && empty.length > 0) {
      problems.push(`no images of the class ${names(empty)} in ${path}. Add images, or remove the folder`)
    }
  }
  return problems
}

/** What a user should know of a layout that training can use. */
export function layoutWarnings({ splits, folders, loose }: Layout, classes: readonly string[]): string[] {
  const warnings: string[] = []
  for (const [split, path] of splits) {
    if (split === 'train') continue
    const filled = folders.filter(folder => folder.split === split && folder.images.length > 0)
    const absent = classes.filter(name => !filled.some(folder => folder.name === name))
    if (absent.length === 0 || absent.length === classes.length) continue
    const left = `it is left out of the figures of '${split}'`
    warnings.push(`no images of the class ${names(absent.map(name => ({ name })))} in ${path}: ${left}.`)
  }
  if (loose.length > 0) warnings.push(`Images in no class folder are not used: ${loose.length}.`)
  const kinds = new Map<string, number>()
  for (const file of folders.flatMap(({ others }) => others)) {
    const kind = extname(file).toLowerCase() || 'no extension'
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  }
  const counts = [...kinds].map(([kind, count]) => `${count} (${kind})`)
  if (counts.length > 0) warnings.push(`Files were passed over as no images: ${counts.join(', ')}.`)
  return warnings
}

const names = (folders: readonly { name: string }[]): string =>
  folders.map(({ name }) => `'${name}'`).join(', ')
