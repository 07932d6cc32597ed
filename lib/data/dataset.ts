import { VisionTorchError } from '../util/errors.js'
import { check, invalid, is } from '../util/is.js'

/** An image in a data set, and its class. */
export interface Sample {
  /** Absolute path of the image file. With `read`, it is a name that is unique in the data set. */
  readonly path: string
  /** Index into the data set's `classes`. */
  readonly label: number
  /** Reads the bytes of the image file if they are not at `path`, but in an archive or in memory. */
  readonly read?: () => Promise<Uint8Array>
}

/** Labelled images in named splits, for training, evaluation and the data set check. */
export interface Dataset {
  /** The absolute path of the data set's folder, or the data set's name if it has no folder. */
  readonly root: string
  /**
   * The path that opens the data set again, such as an annotation file, if not the root. Null if only the program can
   * open it, as with `fromSamples`.
   */
  readonly source?: string | null | undefined
  /** Class names; a sample's label is an index into them. */
  readonly classes: readonly string[]
  /** The existing splits among `train`, `val` and `test`. */
  readonly splits: ReadonlyMap<string, readonly Sample[]>
  /** Sentences that a user should read, for example about skipped files or classes without validation images. */
  readonly warnings: readonly string[]
  /**
   * The samples of a split. `val`, on which training validates, falls back to `test` if there is no `val`.
   * @throws ERR_DATASET if there is no such split.
   */
  split(name: string): readonly Sample[]
}

/** Options for opening a data set. */
export interface DatasetOptions {
  /**
   * The share of each class to hold out for validation if the data set has only training images: 0 (none) to 0.9.
   * Default 0.1.
   */
  valFraction?: number
  /** The seed for choosing the held-out images. Default 0. */
  seed?: number
  signal?: AbortSignal | undefined
  /** Called from time to time with the number of files found so far. */
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

/** The split for the name of a folder or from a user: `Valid` is `val`. Undefined for any other name. */
export function splitName(name: string): SplitName | undefined {
  const lower = name.toLowerCase()
  return Object.hasOwn(splitNames, lower) ? splitNames[lower] : undefined
}

/** @internal Checks the argument of a function that takes a data set. */
export function checkDataset(name: string, value: unknown): Dataset {
  if (
    is.object(value) &&
    value.splits instanceof Map &&
    typeof value.split === 'function' &&
    is.string(value.root) &&
    Array.isArray(value.classes)
  )
    return value as unknown as Dataset
  throw invalid(name, 'a data set, such as the result of ImageFolder.open', value)
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
      `${this.root}: expected one of the splits ${[...this.splits.keys()].join(', ')}, got '${name}'`,
    )
  }
}
