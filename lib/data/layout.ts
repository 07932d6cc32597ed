import { stat } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { toPath } from '../util/file-name.js'
import { check, closest } from '../util/is.js'
import { printable } from '../util/text.js'
import { classNameProblem } from './class-names.js'
import type { SplitName } from './dataset.js'
import { hasImageExtension, imageExtensions } from './extensions.js'
import { findSplits, otherLevel, quoted } from './split-folders.js'
import { listFiles, listFolder } from './walk.js'

/** The files in the folder of a class and its subfolders. */
export interface ClassFolder {
  readonly split: SplitName
  /** The class's name. */
  readonly name: string
  readonly path: string
  /** Absolute paths, in torchvision's order. */
  readonly images: string[]
  /** Files that are not named like images. */
  readonly others: string[]
}

/** The folders of a data set as they are, whether training can use them or not. */
export interface Layout {
  readonly root: string
  /** The folder of each split. That of `train` is the root itself if the root holds the classes. */
  readonly splits: ReadonlyMap<SplitName, string>
  /** The folders of the classes, sorted by split, then by name. */
  readonly folders: readonly ClassFolder[]
  /** Images outside of the class folders. */
  readonly loose: readonly string[]
  /** Files and folders that other programs left, which are not part of the data. */
  readonly junk: readonly string[]
  /** Errors in the structure of the folders. */
  readonly problems: readonly string[]
  /** Notes for the user on how the folders were interpreted. */
  readonly notes: readonly string[]
  /** For an error about too few classes: a suggestion of another folder, or an empty string. */
  readonly hint: string
}

export const LAYOUT = 'Expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg, or DIR/<class>/*.jpg'

export interface LayoutOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: { files: number }) => void) | undefined
}

/**
 * Lists the files and folders of a data set, without reading images.
 * @throws ERR_DATASET if a folder cannot be read.
 */
export async function readLayout(path: string, options: LayoutOptions = {}): Promise<Layout> {
  const root = resolve(check.string('root', path))
  try {
    if (!(await stat(toPath(root))).isDirectory()) throw datasetError(root, `is not a folder. ${LAYOUT}`)
    const { signal } = options
    const { splits, problems, notes, junk: beside } = await findSplits(root, signal)
    const folders: ClassFolder[] = []
    const loose: string[] = []
    const junk = [...beside]
    let count = 0
    const onFiles = (files: number): void => {
      count += files
      options.onProgress?.({ files: count })
    }
    for (const [split, folder] of splits) {
      const { directories, files, junk: own } = await listFolder(folder, signal)
      const images = files.filter(hasImageExtension)
      loose.push(...images.map(name => join(folder, name)))
      if (folder !== root) junk.push(...own)
      for (const name of directories) {
        folders.push(await classFolder({ split, name, path: join(folder, name) }, junk, onFiles, signal))
      }
      if (directories.length === 0 && split !== 'train' && splits.has('train')) {
        splits.delete(split)
        notes.push(`${folder} is not used, because it has no class folders, only ${images.length} images.`)
      }
    }
    const classes = folders.filter(({ split }) => split === 'train').map(({ name }) => name)
    const hint =
      classes.length < 2 ? await otherLevel(splits.get('train') ?? root, classes).catch(() => '') : ''
    return { root, splits, folders, loose, junk, problems, notes, hint }
  } catch (cause) {
    const { code, path: where } = cause as NodeJS.ErrnoException
    if (code === undefined || where === undefined) throw cause
    const message =
      code === 'ENOENT' && where === String(toPath(root))
        ? `no such folder. ${LAYOUT}`
        : `cannot read ${where} (${code}). Check that it exists and that you may read it`
    throw datasetError(root, message, cause)
  }
}

export const datasetError = (root: string, message: string, cause?: unknown): VisionTorchError =>
  new VisionTorchError('ERR_DATASET', `${root}: ${message}`, cause === undefined ? {} : { cause })

async function classFolder(
  folder: Pick<ClassFolder, 'split' | 'name' | 'path'>,
  junk: string[],
  onFiles: (count: number) => void,
  signal?: AbortSignal,
): Promise<ClassFolder> {
  const images: string[] = []
  const others: string[] = []
  for await (const files of listFiles(folder.path, signal, junk)) {
    for (const file of files) (hasImageExtension(file) ? images : others).push(file)
    onFiles(files.length)
  }
  return { ...folder, images, others }
}

/** The classes: the names of train's folders. */
export const layoutClasses = ({ folders }: Layout): string[] =>
  folders.filter(({ split }) => split === 'train').map(({ name }) => name)

/** The reasons why training, or evaluation with given classes, cannot use a layout, one sentence each. */
export function layoutProblems(layout: Layout, given?: readonly string[]): string[] {
  const { splits, folders, loose, hint } = layout
  const problems = [...layout.problems]
  const train = splits.get('train')
  const classes = given ?? layoutClasses(layout)
  if (given === undefined) {
    if (train === undefined) {
      const other = splits.keys().next().value
      return [...problems, `has a folder for the split '${other}' but no folder 'train'. ${LAYOUT}`]
    }
    if (classes.length === 0) {
      const images = loose.length === 1 ? 'its one image is' : `its ${loose.length} images are`
      const found = loose.length > 0 ? `: ${images} in no class folder` : ''
      return [...problems, `no class folders in ${train}${found}. ${LAYOUT}.${hint}`]
    }
    if (classes.length === 1) {
      problems.push(
        `a classifier needs at least two classes, got one folder (${quoted(classes)}) in ${train}. ${LAYOUT}.${hint}`,
      )
    }
    for (const name of classes) {
      const fault = classNameProblem(name)
      if (fault !== undefined)
        problems.push(`the name of the folder '${printable(name, 60)}' in ${train} ${fault}. Rename it`)
    }
  }
  const known = new Set(classes)
  for (const [split, path] of splits) {
    const own = folders.filter(folder => folder.split === split)
    for (const { name } of own.filter(folder => !known.has(folder.name))) {
      const lacking = given === undefined ? "'train' lacks" : 'the given classes lack'
      problems.push(
        `${lacking} the class '${printable(name, 60)}' of ${path}.${likeName(name, classes)} Give the folders the same name, or remove this one`,
      )
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

function likeName(name: string, classes: readonly string[]): string {
  const same = classes.find(other => other.normalize() === name.normalize())
  if (same !== undefined)
    return ` '${same}' has the same characters in other code points (Unicode NFC and NFD).`
  const near = closest(name, classes)
  return near === undefined ? '' : ` Did you mean '${near}'?`
}

/** Warnings for the user about a layout that training can use. */
export function layoutWarnings(layout: Layout, classes: readonly string[]): string[] {
  const { splits, folders, loose, junk, notes } = layout
  const warnings = [...notes]
  for (const [split, path] of splits) {
    const filled = new Set(
      folders.filter(folder => folder.split === split && folder.images.length > 0).map(({ name }) => name),
    )
    const absent = classes.filter(name => !filled.has(name))
    if (absent.length === 0 || absent.length === classes.length) continue
    const [noun, left] = absent.length === 1 ? ['class', 'it is'] : ['classes', 'they are']
    const so =
      split === 'train' ? 'training cannot learn it' : `${left} left out of the metrics for '${split}'`
    warnings.push(`no images of the ${noun} ${quoted(absent)} in ${path}: ${so}.`)
  }
  const alike = namesAlike(classes)
  if (alike.length > 0)
    warnings.push(
      `Classes whose names differ only in case or in their code points are separate classes: ${quoted(alike)}. Merge their folders if they are the same.`,
    )
  if (loose.length > 0) warnings.push(`Skipped images outside of the class folders: ${loose.length}.`)
  if (junk.length > 0) warnings.push(`Skipped files that other programs left: ${counted(junk, basename)}.`)
  const others = folders.flatMap(({ others }) => others)
  const kind = (file: string): string => extname(file).toLowerCase() || 'no extension'
  if (others.length > 0) warnings.push(`Skipped files that are not images: ${counted(others, kind)}.`)
  return warnings
}

/** Names that a case-insensitive file system would treat as the same. */
export function namesAlike(classes: readonly string[]): string[] {
  return [...groupBy(classes, name => name.normalize().toLowerCase()).values()]
    .filter(group => group.length > 1)
    .flat()
}

/** `2 (.bmp), 1 (.txt)`, the most frequent kinds first. */
function counted(files: readonly string[], kindOf: (file: string) => string): string {
  const kinds = [...groupBy(files, kindOf)].sort(([, a], [, b]) => b.length - a.length)
  const shown = kinds.slice(0, 8).map(([kind, of]) => `${of.length} (${printable(kind, 60)})`)
  const left = kinds.slice(8).reduce((sum, [, of]) => sum + of.length, 0)
  return [...shown, ...(left > 0 ? [`${left} of other kinds`] : [])].join(', ')
}

function groupBy(values: readonly string[], keyOf: (value: string) => string): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const value of values) {
    const group = groups.get(keyOf(value))
    if (group === undefined) groups.set(keyOf(value), [value])
    else group.push(value)
  }
  return groups
}

const names = (folders: readonly { name: string }[]): string => quoted(folders.map(({ name }) => name))
