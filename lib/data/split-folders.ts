import { basename, dirname, join } from 'node:path'
import { printable } from '../util/text.js'
import { type SplitName, splitName, splitOrder } from './dataset.js'
import { hasImageExtension } from './extensions.js'
import { listFolder } from './walk.js'

/** The folders below a root that are splits, and messages about the others. */
export interface SplitFolders {
  /** The folder of each split. That of `train` is the root itself if the root holds the classes. */
  splits: Map<SplitName, string>
  problems: string[]
  notes: string[]
  junk: readonly string[]
}

/** The direct content of a folder: the folder of a split has folders, the folder of a class has images. */
interface Peek {
  name: string
  images: boolean
  folders: boolean
}

/** Distinguishes folders of splits from folders of classes: a class may also be called `train`. */
export async function findSplits(root: string, signal?: AbortSignal): Promise<SplitFolders> {
  const { directories, junk } = await listFolder(root, signal)
  const whole = { splits: new Map<SplitName, string>([['train', root]]), problems: [], notes: [], junk }
  const named = directories.filter(name => splitName(name) !== undefined)
  if (named.length === 0) return { ...whole, notes: await noteAbove(root, signal) }
  const peeks = await Promise.all(named.map(name => peek(root, name, signal)))
  const others: Peek[] = []
  for (const name of directories) {
    if (splitName(name) === undefined) others.push(await peek(root, name, signal))
  }
  const photos = others.filter(({ images }) => images)
  if (photos.length > 0 && !peeks.some(({ images, folders }) => folders && !images)) {
    const [train, beside] = [quoted(named), quoted(photos.map(({ name }) => name))]
    const all = peeks.every(({ folders }) => !folders)
    if (all)
      return {
        ...whole,
        notes: [
          `Interpreted ${train} as classes, not splits, because they hold images directly, as ${beside} does.`,
        ],
      }
    const unclear = `cannot tell whether ${train} is a split or a class: it holds both images and folders, and ${beside} in the same folder holds images. Move the images into class folders, or rename it`
    return { ...whole, problems: [unclear] }
  }
  const found = new Map<SplitName, string>()
  const problems: string[] = []
  for (const directory of named) {
    const name = splitName(directory)!
    const other = found.get(name)
    if (other === undefined) found.set(name, directory)
    else problems.push(`two folders for the split '${name}': '${other}' and '${directory}'. Keep one of them`)
  }
  const present = splitOrder.filter(name => found.has(name))
  const splits = new Map(present.map(name => [name, join(root, found.get(name)!)]))
  const notes =
    photos.length === 0
      ? []
      : [`Skipped folders with images next to the splits: ${quoted(photos.map(({ name }) => name))}.`]
  return { splits, problems, notes, junk }
}

/** A root may itself be called `train`, but the user probably wants the splits next to it, too. */
async function noteAbove(root: string, signal?: AbortSignal): Promise<string[]> {
  const [own, parent] = [basename(root), dirname(root)]
  if (splitName(own) === undefined) return []
  try {
    const { directories } = await listFolder(parent, signal)
    const others = directories.filter(name => name !== own && splitName(name) !== undefined)
    return others.length === 0
      ? []
      : [`${parent} also holds ${quoted(others)}, which is not used. To use it, give ${parent}.`]
  } catch {
    signal?.throwIfAborted()
    return [] // the folder above need not be readable
  }
}

/**
 * If a root has fewer than two classes, suggests the folder below or above that was probably meant; otherwise an
 * empty string.
 */
export async function otherLevel(root: string, classes: readonly string[]): Promise<string> {
  if (classes.length === 1) {
    const below = join(root, classes[0]!)
    const { directories } = await listFolder(below)
    return directories.length >= 2 ? ` Did you mean ${below}, which holds ${quoted(directories)}?` : ''
  }
  const above = dirname(root)
  const { directories } = await listFolder(above)
  return directories.length >= 2 ? ` If it is the folder of one class, give the one above: ${above}.` : ''
}

async function peek(root: string, name: string, signal?: AbortSignal): Promise<Peek> {
  const { directories, files } = await listFolder(join(root, name), signal)
  return { name, images: files.some(hasImageExtension), folders: directories.length > 0 }
}

/** `'a', 'b', 'c' and 7 more` */
export function quoted(names: readonly string[], most = 5): string {
  const shown = names.slice(0, most).map(name => `'${printable(name, 60)}'`)
  const left = names.length - shown.length
  return left === 0 ? shown.join(', ') : `${shown.join(', ')} and ${left.toLocaleString('en-US')} more`
}
