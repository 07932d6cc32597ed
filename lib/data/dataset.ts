import { VisionTorchError } from '../util/errors.js'
import { check, invalid, is } from '../util/is.js'

/** An image of a data set and the class that it belongs to. */
export interface Sample {
  /** Absolute path of the image file. With `read`, what the image is called: no two of a data set are alike. */
  readonly path: string
  /** Index into the data set's `classes`. */
  readonly label: number
  /** Reads the bytes of the image file, if they do not lie at `path`: an image in an archive, or in memory. */
  readonly read?: () => Promise<Uint8Array>
}

/** Labelled images in named splits: what training, evaluation and the data set check read. */
export interface Dataset {
  /** The absolute path of the folder that holds the data set; its name if it is in no folder. */
  readonly root: string
  /** What opens it again if that is not the root: an annotation file. Null if only the program can, as with `fromSamples`. */
  readonly source?: string | null | undefined
  /** Class names; a sample's label is an index into them. */
  readonly classes: readonly string[]
  /** The splits that exist, out of `train`, `val` and `test`. */
  readonly splits: ReadonlyMap<string, readonly Sample[]>
  /** What a user should know, a sentence each: files that were skipped, classes without validation images. */
  readonly warnings: readonly string[]
  /**
   * The samples of a split. `val` falls back to `test` if there is no `val`: it is what training validates on.
   * @throws ERR_DATASET when there is no such split.
   */
  split(name: string): readonly Sample[]
}

/** How a data set is opened. */
export interface DatasetOptions {
  /**
   * The share of each class that is held out for validation if the data set has only training images: 0 to 0.9,
   * 0 for none. Default 0.1.
   */
  valFraction?: number
  /** Chooses the images that are held out. Default 0. */
  seed?: number
  signal?: AbortSignal | undefined
  /** Called now and then with the number of files found so far. */
  onProgress?: ((progress: { files: number }) => void) | undefined
}

export type SplitName = 'train' | 'val' | 'test'

export const splitOrder: readonly SplitName[] = ['train', 'val', 'test']

const splitNames: Readonly<Record<string, SplitName>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  test: 'test',
  testing: 'test',
}

/** The split that a folder or a user means: `Valid` is `val`; undefined for any other name. */
export function splitName(name: string): SplitName | undefined {
  const lower = name.toLowerCase()
  return Object.hasOwn(splitNames, lower) ? splitNames[lower] : undefined
}

/** @internal The argument of a function that takes a data set. */
export function checkDataset(name: string, value: unknown): Dataset {
  if (
    is.object(value) &&
    value.splits instanceof Map &&
    typeof value.split === 'function' &&
    is.string(value.root) &&
    Array.isArray(value.classes)
  )
    return value as unknown as Dataset
  throw invalid(name, 'a data set, such as ImageFolder.open gives', value)
}

/** A data set whose samples are known. */
export class SampleDataset implements Dataset {
  constructor(
    readonly root: string,
    readonly classes: readonly string[],
    readonly splits: ReadonlyMap<string, readonly Sample[]>,
    readonly warnings: readonly string[],
    readonly source?: string | null,
  ) {}

  split(name: string): readonly Sample[] {
    const known = splitName(check.string('split', name))
    const samples =
      known === 'val' ? (this.splits.get('val') ?? this.splits.get('test')) : this.splits.get(known ?? name)
    if (samples !== undefined) return samples
    throw new VisionTorchError(
      'ERR_DATASET',
      `${this.root}: expected a split out of ${[...this.splits.keys()].join(', ')}, got '${name}'`,
    )
  }
}
