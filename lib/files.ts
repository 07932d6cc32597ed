import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { VisionTorchError } from './errors.js'

/**
 * @internal Writes a file beside its place, flushes it and renames it: a crash at any moment leaves the previous one
 * whole. Throws `ERR_FILE_WRITE`.
 */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const beside = `${path}.${randomUUID()}.tmp`
  try {
    const file = await open(beside, 'wx')
    try {
      await file.writeFile(content)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
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
