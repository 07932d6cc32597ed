import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { VisionTorchError } from '../util/errors.js'
import { printable } from '../util/text.js'

/** The names of a table's columns, or of an object's keys. */
export interface Columns {
  /**
   * The image. Default: `image`, `path`, `file`, `file_name`, `filename`, `filepath`, `image_path` or `img`,
   * whichever exists.
   */
  image?: string
  /** Its class: a name, or an index into `classes`. Default: `label`, `class`, `class_name`, `category` or `target`. */
  label?: string
  /** Its split: train, val or test. Default: `split` if it exists; otherwise all images are training images. */
  split?: string
}

export const columnNames = ['image', 'label', 'split'] as const

const usual: Readonly<Record<keyof Columns, readonly string[]>> = {
  image: ['image', 'path', 'file', 'file_name', 'filename', 'filepath', 'image_path', 'img'],
  label: ['label', 'class', 'class_name', 'category', 'target'],
  split: ['split'],
}

/** The names of the existing columns for image, label and split. */
export interface ChosenColumns {
  image: string
  label: string
  split: string | undefined
}

/** @throws ERR_DATASET if there is no column for the image or the label. */
export function chooseColumns(names: readonly string[], wanted: Columns, where: string): ChosenColumns {
  const choose = (what: keyof Columns): string | undefined => {
    const asked = wanted[what]
    const candidates = asked === undefined ? usual[what] : [asked]
    for (const candidate of candidates) {
      const found =
        names.find(name => name === candidate) ?? names.find(name => name.trim().toLowerCase() === candidate)
      if (found !== undefined) return found
    }
    if (what === 'split' && asked === undefined) return undefined
    const expected =
      asked === undefined
        ? `a column for the ${what} (${usual[what].join(', ')})`
        : `the column '${printable(asked, 60)}'`
    const shown = names.slice(0, 20).map(name => printable(name, 40))
    throw new VisionTorchError(
      'ERR_DATASET',
      `${where}: expected ${expected}, got ${shown.join(', ')}${names.length > 20 ? ', ...' : ''}. ` +
        `Name the column with { ${what}: 'COLUMN' }, or --columns ${what}=COLUMN on the command line`,
    )
  }
  return { image: choose('image')!, label: choose('label')!, split: choose('split') }
}

/** The absolute path of an image that a file names. A relative path is relative to the file's own folder. */
export function imagePath(text: string, file: string, where: string): string {
  const fail = (message: string) => new VisionTorchError('ERR_DATASET', `${where}: ${message}`)
  const path = text.trim()
  if (path === '') throw fail('expected the path of an image, got an empty one')
  if (path.includes('\0')) throw fail(`expected the path of an image, got '${printable(path, 80)}'`)
  if (/^file:\/\//i.test(path)) {
    try {
      return fileURLToPath(path)
    } catch {
      throw fail(`expected the path of an image, got '${printable(path, 80)}'`)
    }
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(path)) {
    throw fail(
      `expected the path of an image, got '${printable(path, 80)}'. Training reads images in every epoch, so download ` +
        'them first, for example with img2dataset, or pass the bodies of the responses to fromSamples()',
    )
  }
  return /^[a-z]:[\\/]/i.test(path) ? path : resolve(dirname(file), path)
}
