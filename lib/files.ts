import { randomUUID } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, rename, rm, statfs } from 'node:fs/promises'
import { VisionTorchError } from './errors.js'
import { toPath } from './file-name.js'

/**
 * @internal Opens a regular file for reading. Anything else is refused at once: opening or reading a named pipe or a
 * device could block a thread of libuv's pool for ever, and four of them would stop every file access of the process.
 * Throws `ERR_FILE_READ`, or the system's error.
 */
export async function openRegular(path: string): Promise<{ file: FileHandle; size: number }> {
  const notRegular = (kind: string) =>
    new VisionTorchError('ERR_FILE_READ', `${path}: not a regular file but ${kind}. Give the path of a file`)
  const file = await open(toPath(path), constants.O_RDONLY | constants.O_NONBLOCK).catch(error => {
    throw error.code === 'ENXIO' ? notRegular('a socket') : error
  })
  try {
    const stats = await file.stat()
    const kind = await irregular(path, stats)
    if (kind === undefined) return { file, size: stats.size }
    throw notRegular(kind)
  } catch (error) {
    await file.close()
    throw error
  }
}

const PROC_SUPER_MAGIC = 0x9fa0

async function irregular(path: string, stats: Stats): Promise<string | undefined> {
  if (stats.isDirectory()) return 'a directory'
  if (stats.isFIFO()) return 'a named pipe'
  if (!stats.isFile()) return 'a device'
  // The kernel makes up the content of these files; they have no size, and reading one may block.
  if (stats.size === 0 && (await statfs(toPath(path))).type === PROC_SUPER_MAGIC) return 'a file of /proc'
  return undefined
}

/**
 * @internal Writes a file beside its place, flushes it and renames it: a crash at any moment leaves the previous one
 * whole. Throws `ERR_FILE_WRITE`.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const target = toPath(path)
  const beside = toPath(`${path}.${randomUUID()}.tmp`)
  try {
    const file = await open(beside, 'wx')
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, target)
  } catch (error) {
    await rm(beside, { force: true }).catch(() => {})
    throw cannotWrite(path, error)
  }
}

/** @internal The error for a file or folder that could not be written, with what to do about it. */
export function cannotWrite(path: string, cause: unknown): VisionTorchError {
  const { code, message } = cause as NodeJS.ErrnoException
  const remedies: Readonly<Record<string, string>> = {
    EACCES: 'you may not write there. Choose another directory, or change its permissions',
    EPERM: 'you may not write there. Choose another directory, or change its permissions',
    EROFS: 'the file system is read-only. Choose another directory',
    ENOSPC: 'the disk is full. Free some space, or choose a directory on another disk',
    EDQUOT: 'your quota is used up. Free some space, or choose a directory on another disk',
    ENOTDIR: 'part of the path is a file and no directory. Choose another directory',
    EEXIST: 'part of the path is a file and no directory. Choose another directory',
    ENOENT: 'its directory does not exist (any more)',
  }
  const why = remedies[code ?? ''] ?? message
  return new VisionTorchError('ERR_FILE_WRITE', `cannot write ${path}: ${why}`, { cause })
}
