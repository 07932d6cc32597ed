/** `error`: training would stop, or its figures would be wrong. `warning`: worth a look. `info`: good to know. */
export type Severity = 'error' | 'warning' | 'info'

const kinds = {
  layout: ['error', 'folders that training cannot use', ''],
  unreadable: ['error', 'files that cannot be read', 'check permissions and links, or remove them'],
  'empty-file': ['error', 'files of zero bytes', 'copy them again, or remove them'],
  'not-an-image': ['error', 'files that have the name of an image but are not images', 'remove them'],
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
    'keep it in one: figures of images that were trained on are too good',
  ],
  duplicates: ['warning', 'the same image several times in a class', 'keep one'],
  'wrong-extension': ['warning', 'images of another format than their name says', 'rename them'],
  'passed-over': [
    'warning',
    'files that are not images by their names',
    'convert or rename images, remove the rest',
  ],
  loose: ['warning', 'images that lie in no class folder', 'move each into the folder of its class'],
  note: ['warning', 'folders that may mean something else', ''],
  junk: [
    'warning',
    'what other programs left in the folders',
    'remove it: visiontorch skips it, but other programs take such folders for classes',
  ],
  'names-alike': [
    'warning',
    'classes whose names differ only in case or in code points',
    'merge their folders if they are the same class',
  ],
  'uneven-splits': ['warning', 'more images to validate on than to train on', 'move most of them to train'],
  'batch-of-one': [
    'warning',
    'batches of one image, by which batch norm cannot normalise',
    'train with a batch size of at least 2',
  ],
  'absent-class': ['warning', 'classes without images to validate on', 'move some of their images there'],
  imbalance: [
    'warning',
    'classes of very different sizes',
    'train with balanced class weights or a balanced sampler, or add images',
  ],
  rotated: [
    'info',
    'photographs that only their EXIF data turns upright',
    'visiontorch turns them, unless autoOrient is false; torchvision does not',
  ],
  'joined-batch': [
    'info',
    'a last batch of one image',
    'it joins the batch before it; Python needs drop_last=True, or another batch size',
  ],
  cmyk: [
    'info',
    'images in printing colours (CMYK)',
    'they are converted as Pillow does; compare one with preview',
  ],
} as const satisfies Record<string, readonly [Severity, string, string]>

export type FindingKind = keyof typeof kinds

/** One thing that was found, and where. */
export interface Finding {
  kind: FindingKind
  severity: Severity
  /** What it is. */
  title: string
  /** What to do about it; empty if the details say it. */
  remedy: string
  /** The files or folders, absolute, each with what is to be said of it. */
  places: { path: string; detail: string }[]
}

/** Findings by their kind, errors first. */
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
