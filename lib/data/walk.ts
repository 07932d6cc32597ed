import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeName, toPath } from '../util/file-name.js'
import { isJunkFile, isJunkFolder } from './junk.js'
import { byCodePoint, pause, SLICE, sortInSlices } from './sort.js'

// Entries a system call: large enough to be quick, small enough that handling them does not hold up the event loop.
const ENTRIES = 256

const hidden = (name: string): boolean => name.startsWith('.')

/** An entry of a folder whose names are read as bytes, which the types of Node do not know. */
interface Entry {
  name: Uint8Array
  isFile(): boolean
  isDirectory(): boolean
  isSymbolicLink(): boolean
}

async function openFolder(path: string): Promise<AsyncIterable<Entry>> {
  const encoding = 'buffer' as unknown as BufferEncoding
  return (await opendir(toPath(path), { bufferSize: ENTRIES, encoding })) as unknown as AsyncIterable<Entry>
}

/** What an entry is, through symbolic links. A dangling link counts as a file: reading it must fail, not be missed. */
async function kindOf(path: string, entry: Entry): Promise<'file' | 'directory' | undefined> {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'directory'
  if (!entry.isSymbolicLink()) return undefined // a pipe or a socket: opening it could wait for ever
  try {
    const target = await stat(toPath(path))
    return target.isFile() ? 'file' : target.isDirectory() ? 'directory' : undefined
  } catch {
    return 'file'
  }
}

/** A folder's own entries by kind, without hidden ones. */
export interface Entries {
  /** Names, in Python's order. */
  readonly directories: readonly string[]
  readonly files: readonly string[]
  /** Absolute paths of what other programs left there: see junk.ts. */
  readonly junk: readonly string[]
}

export async function listFolder(path: string, signal?: AbortSignal): Promise<Entries> {
  const directories: string[] = []
  const files: string[] = []
  const junk: string[] = []
  for await (const entry of await openFolder(path)) {
    signal?.throwIfAborted()
    const name = decodeName(entry.name)
    if (entry.isDirectory() ? isJunkFolder(name) : isJunkFile(name)) junk.push(join(path, name))
    else if (!hidden(name)) {
      const kind = await kindOf(join(path, name), entry)
      if (kind === 'directory') directories.push(name)
      else if (kind === 'file') files.push(name)
    }
  }
  return {
    directories: await sortInSlices(directories, byCodePoint, signal),
    files: await sortInSlices(files, byCodePoint, signal),
    junk: junk.sort(byCodePoint),
  }
}

/**
 * All files below a folder, through symbolic links, without hidden files and folders, in the order of torchvision's
 * `make_dataset`: folders by their path, in each the files by name. They come in slices, between which the event loop runs.
 * What other programs left there is left out, and added to `junk`.
 */
export async function* listFiles(
  root: string,
  signal?: AbortSignal,
  junk: string[] = [],
): AsyncGenerator<string[]> {
  const folders: { path: string; files: readonly string[] }[] = []
  // A folder that is its own ancestor is skipped: a symbolic link upwards would be followed forever.
  const open: { path: string; ancestors: readonly string[] }[] = [{ path: root, ancestors: [] }]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { path, ancestors } = next
    const { dev, ino } = await stat(toPath(path), { bigint: true })
    const id = `${dev}:${ino}`
    if (ancestors.includes(id)) continue
    const { directories, files, junk: found } = await listFolder(path, signal)
    folders.push({ path, files })
    junk.push(...found)
    for (const name of directories) open.push({ path: join(path, name), ancestors: [...ancestors, id] })
  }
  folders.sort((a, b) => byCodePoint(a.path, b.path))
  for (const { path, files } of folders) {
    for (let start = 0; start < files.length; start += SLICE) {
      yield files.slice(start, start + SLICE).map(name => `${path}/${name}`)
      await pause(signal)
    }
  }
}
