import { stat } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { VisionTorchError } from '../errors.js'
import { check, closest } from '../is.js'
import {
  type DatasetOptions,
  type Sample,
  SampleDataset,
  type SplitName,
  splitName,
  splitOrder,
} from './dataset.js'
import { type HoldOut, holdOut, holdOutOptions } from './hold-out.js'
import { listFiles, listFolder } from './walk.js'

/** The file name extensions of images, in lower case. */
export const imageExtensions: ReadonlySet<string> = new Set(
  ['jpg', 'jpeg', 'jfif', 'png', 'webp', 'avif', 'gif', 'tif', 'tiff'].map(extension => `.${extension}`),
)

/** Whether a file is taken for an image by its name. */
export const hasImageExtension = (path: string): boolean => imageExtensions.has(extname(path).toLowerCase())

export interface ImageFolderOptions extends DatasetOptions {
  /**
   * The classes and their order, say those of a trained model that is to be evaluated; folders are mapped to them by
   * name, and some may have no folder. Default: the sorted names of the folders of `train`.
   */
  classes?: readonly string[]
}

const LAYOUT = 'Expected DIR/train/<class>/*.jpg and DIR/val/<class>/*.jpg, or DIR/<class>/*.jpg'

/**
 * Images in a folder a class, as in torchvision:
 *
 *     root/train/<class>/*.jpg    root/val/<class>/*.jpg    (or valid, validation, test)
 *     root/<class>/*.jpg
 *
 * Classes are the sorted names of train's folders; those of the other splits are mapped by name. Folders of classes are
 * searched with all their sub folders, symbolic links are followed, hidden files are ignored. Without a split to
 * validate on, a share of every class is held out of the training images (`valFraction`).
 */
export class ImageFolder extends SampleDataset {
  private constructor(
    root: string,
    classes: readonly string[],
    splits: ReadonlyMap<SplitName, readonly Sample[]>,
    warnings: readonly string[],
  ) {
    super(root, classes, splits, warnings)
  }

  /**
   * Lists the images below a folder; reads none of them.
   * @throws ERR_DATASET when the folder does not exist or training could not make sense of it: no classes, one class,
   *   a class without images, a class of another split that train lacks.
   */
  static async open(root: string, options: ImageFolderOptions = {}): Promise<ImageFolder> {
    check.options('options', options, ['valFraction', 'seed', 'classes', 'signal', 'onProgress'])
    const reader = new FolderReader(resolve(check.string('root', root)), options)
    const { classes, splits } = await reader.read()
    return new ImageFolder(reader.root, classes, splits, reader.warnings)
  }
}

class FolderReader {
  readonly warnings: string[] = []
  readonly #holdOut: HoldOut
  readonly #passedOver = new Map<string, number>()
  #files = 0

  constructor(
    readonly root: string,
    private readonly options: ImageFolderOptions,
  ) {
    this.#holdOut = holdOutOptions(options)
  }

  async read(): Promise<{ classes: readonly string[]; splits: Map<SplitName, readonly Sample[]> }> {
    try {
      if (!(await stat(this.root)).isDirectory()) throw this.error(`is not a folder. ${LAYOUT}`)
      const folders = await this.#splitFolders()
      const classes = this.options.classes ?? (await this.#classes(folders.get('train') ?? this.root))
      const splits = new Map<SplitName, readonly Sample[]>()
      for (const [name, path] of folders) splits.set(name, await this.#split(name, path, classes))
      this.warnings.push(...(await holdOut(splits, this.root, this.#holdOut)))
      if (this.#passedOver.size > 0) this.warnings.push(this.#passedOverWarning())
      return { classes, splits }
    } catch (error) {
      throw this.#explain(error)
    }
  }

  error(message: string, cause?: unknown): VisionTorchError {
    return new VisionTorchError(
      'ERR_DATASET',
      `${this.root}: ${message}`,
      cause === undefined ? {} : { cause },
    )
  }

  #explain(error: unknown): unknown {
    const { code, path } = error as NodeJS.ErrnoException
    if (code === undefined || path === undefined) return error
    if (code === 'ENOENT' && path === this.root) return this.error(`no such folder. ${LAYOUT}`, error)
    return this.error(`cannot read ${path} (${code}). Check that it exists and may be read`, error)
  }

  /** The folder of each split; that of train is the root itself where the root holds the classes. */
  async #splitFolders(): Promise<Map<SplitName, string>> {
    const { directories } = await listFolder(this.root, this.options.signal)
    const found = new Map<SplitName, string>()
    for (const directory of directories) {
      const name = splitName(directory)
      if (name === undefined) continue
      const other = found.get(name)
      if (other !== undefined) {
        throw this.error(
          `two folders for the split '${name}': '${other}' and '${directory}'. Keep one of them`,
        )
      }
      found.set(name, directory)
    }
    if (found.size === 0) return new Map([['train', this.root]])
    if (!found.has('train') && this.options.classes === undefined) {
      throw this.error(`has a folder '${[...found.values()][0]}' but none that is called 'train'. ${LAYOUT}`)
    }
    const present = splitOrder.filter(name => found.has(name))
    return new Map(present.map(name => [name, join(this.root, found.get(name)!)]))
  }

  async #classes(train: string): Promise<string[]> {
    const { directories, files } = await listFolder(train, this.options.signal)
    if (directories.length > 1) return directories
    if (directories.length === 1) {
      throw this.error(
        `a classifier needs at least two classes, got one folder ('${directories[0]}') in ${train}. ${LAYOUT}`,
      )
    }
    const loose = files.filter(hasImageExtension).length
    const hint = loose > 0 ? `: its ${loose} images lie in no class folder` : ''
    throw this.error(`no class folders in ${train}${hint}. ${LAYOUT}`)
  }

  async #split(name: SplitName, path: string, classes: readonly string[]): Promise<Sample[]> {
    const { directories, files } = await listFolder(path, this.options.signal)
    for (const file of files)
      this.#passOver(file, hasImageExtension(file) ? 'images in no class folder' : undefined)
    const unknown = directories.filter(directory => !classes.includes(directory))
    if (unknown.length > 0) {
      const near = closest(unknown[0]!, classes)
      const hint = near === undefined ? '' : ` Did you mean '${near}'?`
      const known = this.options.classes === undefined ? "'train' lacks" : 'the given classes lack'
      throw this.error(
        `${known} the class '${unknown.join("', '")}' of ${path}.${hint} Name the folders alike, or remove it`,
      )
    }
    const samples: Sample[] = []
    const empty: string[] = []
    for (const [label, className] of classes.entries()) {
      const before = samples.length
      if (directories.includes(className)) await this.#class(join(path, className), label, samples)
      if (samples.length === before) empty.push(className)
    }
    if (samples.length === 0) {
      throw this.error(`no images below ${path}. Expected files ending in ${[...imageExtensions].join(', ')}`)
    }
    if (empty.length > 0 && this.options.classes === undefined) {
      const what = `no images of the class '${empty.join("', '")}' in ${path}`
      if (name === 'train') throw this.error(`${what}. Add images, or remove the folder`)
      this.warnings.push(`${what}: it is left out of the figures of '${name}'.`)
    }
    return samples
  }

  async #class(path: string, label: number, samples: Sample[]): Promise<void> {
    for await (const files of listFiles(path, this.options.signal)) {
      for (const file of files) {
        if (hasImageExtension(file)) samples.push({ path: file, label })
        else this.#passOver(file)
      }
      this.#files += files.length
      this.options.onProgress?.({ files: this.#files })
    }
  }

  #passOver(file: string, kind = extname(file).toLowerCase() || 'no extension'): void {
    this.#passedOver.set(kind, (this.#passedOver.get(kind) ?? 0) + 1)
  }

  #passedOverWarning(): string {
    const counts = [...this.#passedOver].map(([kind, count]) => `${count} (${kind})`)
    return `Files were passed over as no images: ${counts.join(', ')}.`
  }
}
