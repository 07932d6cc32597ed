/** `error`: training would stop, or its metrics would be wrong. `warning`: worth a look. `info`: good to know. */
export type Severity = 'error' | 'warning' | 'info'

const kinds = {
  layout: ['error', 'folders that training cannot use', ''],
  unreadable: ['error', 'files that cannot be read', 'check permissions and links, or remove them'],
  'empty-file': ['error', 'empty files', 'copy them again, or remove them'],
  'not-an-image': ['error', 'files that are named like images but are not images', 'remove them'],
  truncated: ['error', 'images that end early', 'copy them again, or remove them'],
  damaged: ['error', 'images that cannot be decoded', 'replace or remove them'],
  bomb: ['error', 'images with too many pixels', 'make them smaller'],
  'conflicting-labels': [
    'error',
    'the same image in several classes',
    'keep it in the class that it belongs to',
  ],
  leak: [
    'error',
    'the same image in several splits',
    'keep it in one split: metrics on training images are too optimistic',
  ],
  duplicates: ['warning', 'the same image several times in a class', 'keep one of the files'],
  'wrong-extension': ['warning', 'images whose format does not match their name', 'rename them'],
  'passed-over': [
    'warning',
    'files that are not named like images',
    'convert or rename images, and remove the rest',
  ],
  loose: ['warning', 'images outside of the class folders', 'move each into the folder of its class'],
  note: ['warning', 'folders that may mean something else', ''],
  junk: [
    'warning',
    'files that other programs left in the folders',
    'remove them: visiontorch skips them, but other programs mistake such folders for classes',
  ],
  'names-alike': [
    'warning',
    'classes whose names differ only in case or in code points',
    'merge their folders if they are the same class',
  ],
  'uneven-splits': ['warning', 'more validation images than training images', 'move most of them to train'],
  'batch-of-one': [
    'warning',
    'batches of one image, which batch norm cannot normalise',
    'train with a batch size of at least 2',
  ],
  'absent-class': [
    'warning',
    'classes without validation images',
    'move some of their training images there',
  ],
  imbalance: [
    'warning',
    'classes of very different sizes',
    'train with balanced class weights or a balanced sampler, or add images',
  ],
  rotated: [
    'info',
    'photos that are upright only after their EXIF orientation is applied',
    'visiontorch turns them upright unless autoOrient is false; torchvision does not',
  ],
  'joined-batch': [
    'info',
    'a last batch of one image',
    'visiontorch adds it to the batch before it; in Python, use drop_last=True or another batch size',
  ],
  cmyk: [
    'info',
    'images in CMYK, the color space of printing',
    'visiontorch converts them as Pillow does; look at one with visiontorch preview',
  ],
} as const satisfies Record<string, readonly [Severity, string, string]>

export type FindingKind = keyof typeof kinds

/** A kind of problem, and where it was found. */
export interface Finding {
  kind: FindingKind
  severity: Severity
  /** A description of the problem. */
  title: string
  /** What to do about it; empty if the details of the places say it. */
  remedy: string
  /** The absolute paths of the files or folders, each with a detail. */
  places: { path: string; detail: string }[]
}

/** Collects findings, and lists them by kind, errors first. */
export class Findings {
  readonly #places = new Map<FindingKind, { path: string; detail: string }[]>()

  add(kind: FindingKind, path: string, detail: string): void {
    const places = this.#places.get(kind)
    if (places === undefined) this.#places.set(kind, [{ path, detail }])
    else places.push({ path, detail })
  }

  list(): Finding[] {
    const order = Object.keys(kinds) as FindingKind[]
    return order.flatMap(kind => {
      const places = this.#places.get(kind)
      if (places === undefined) return []
      const [severity, title, remedy] = kinds[kind]
      return [{ kind, severity, title, remedy, places }]
    })
  }
}
