import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { decodeName, toPath } from '../util/file-name.js'
import { isJunkFile, isJunkFolder } from './junk.js'
import { byCodePoint, pause, SLICE, sortInSlices } from './sort.js'

// Entries per system call: enough to be fast, and few enough that processing them does not block the event loop.
const ENTRIES = 256

const hidden = (name: string): boolean => name.startsWith('.')

/** Reads the names in a folder as bytes, which Node's types do not declare. */
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

/**
 * The kind of an entry, through symbolic links. A dangling link counts as a file, so that reading it fails instead of
 * being skipped.
 */
async function kindOf(path: string, entry: Entry): Promise<'file' | 'directory' | undefined> {
  if (entry.isFile()) return 'file'
  if (entry.isDirectory()) return 'directory'
  if (!entry.isSymbolicLink()) return undefined // a pipe or a socket: opening it could wait forever
  try {
    const target = await stat(toPath(path))
    return target.isFile() ? 'file' : target.isDirectory() ? 'directory' : undefined
  } catch {
    return 'file'
  }
}

/** The direct entries of a folder by kind, without hidden ones. */
export interface Entries {
  /** Names, in Python's order. */
  readonly directories: readonly string[]
  readonly files: readonly string[]
  /** Absolute paths of files and folders that other programs left there, see junk.ts. */
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
 * Yields all files below a folder, through symbolic links, without hidden files and folders, in the order of torchvision's
 * `make_dataset`: folders by path, and the files in each by name. They come in slices, between which the event loop runs.
 * Files and folders that other programs left there are skipped, and added to `junk`.
 */
export async function* listFiles(
  root: string,
  signal?: AbortSignal,
  junk: string[] = [],
): AsyncGenerator<string[]> {
  const folders: { path: string; files: readonly string[] }[] = []
  // Skip a folder that is its own ancestor: following a symbolic link upwards would never end.
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
