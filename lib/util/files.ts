import { createHash, randomBytes } from 'node:crypto'
import { constants, readFileSync, readlinkSync, type Stats } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm, stat, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { VisionTorchError } from './errors.js'
import { toPath } from './file-name.js'

/**
 * @internal Opens a regular file for reading. Refuses anything else at once: opening or reading a named pipe or a
 * device could block a thread of libuv's pool forever, and four of them would stop every file access of the process.
 * Throws `ERR_FILE_READ`, or the system's error.
 */
export async function openRegular(path: string): Promise<{ file: FileHandle; size: number }> {
  const notRegular = (kind: string) =>
    new VisionTorchError(
      'ERR_FILE_READ',
      `${path}: expected a regular file, got ${kind}. Give the path of a file`,
    )
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
  // The kernel generates the content of these files; they have no size, and reading one may block.
  if (stats.size === 0 && (await statfs(toPath(path))).type === PROC_SUPER_MAGIC) return 'a file of /proc'
  return undefined
}

/**
 * @internal Replaces a file so that `path` is at any moment the complete old or new file: `write` fills a temporary file
 * in the same directory, which is flushed to the disk and renamed. Also removes temporary files there that killed
 * processes left.
 * @throws VisionTorchError `ERR_FILE_WRITE`, and the errors of `write`.
 */
export async function replaceFile(
  path: string,
  write: string | Uint8Array | ((file: FileHandle) => Promise<unknown>),
): Promise<void> {
  const directory = dirname(path)
  const temporary = temporaryPath(directory)
  try {
    await checkReplaceable(path)
    await removeLeftovers(directory)
    const file = await open(toPath(temporary), 'wx')
    try {
      await (typeof write === 'function' ? write(file) : file.writeFile(write))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(toPath(temporary), toPath(path))
    await syncDirectory(directory)
  } catch (error) {
    await rm(toPath(temporary), { force: true }).catch(() => {})
    const isExplained = error instanceof VisionTorchError && error.code !== 'ERR_FILE_WRITE'
    throw isExplained ? error : cannotWrite(path, error)
  }
}

/** As root, renaming over /dev/stdout or /dev/null would succeed. */
async function checkReplaceable(path: string): Promise<void> {
  const found = await stat(toPath(path)).catch(() => undefined)
  if (found === undefined || found.isFile()) return
  const what = found.isDirectory() ? 'a directory' : 'a device, a pipe or a socket'
  throw new VisionTorchError('ERR_FILE_WRITE', `it is ${what}. Choose the path of a file`)
}

/** Without this, a renamed file may be gone after a power failure. Some file systems do not support it. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(toPath(path), 'r').catch(() => undefined)
  await directory?.sync().catch(() => {})
  await directory?.close()
}

const FOREIGN_LEFTOVER_AGE = 3_600_000 // ms

/** @internal A new path for a temporary file or directory, with a name that identifies its process. */
export function temporaryPath(directory: string): string {
  owner ??= describeOwner()
  return join(directory, `.visiontorch-${owner}-${randomBytes(8).toString('hex')}.tmp`)
}

/**
 * @internal Removes temporary files and directories of processes that no longer run. The processes of another machine or
 * container are not visible from here, so their files count as abandoned an hour after the last change.
 */
export async function removeLeftovers(directory: string): Promise<void> {
  for (const name of await readdir(toPath(directory)).catch(() => [])) {
    const [, place, pid, start] =
      /^\.visiontorch-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{16}\.tmp$/.exec(name) ?? []
    if (place === undefined) continue
    const path = join(directory, name)
    const isAbandoned =
      place === placeOf(owner) ? startOf(Number(pid)) !== start : (await ageOf(path)) > FOREIGN_LEFTOVER_AGE
    if (isAbandoned) await rm(toPath(path), { recursive: true, force: true }).catch(() => {})
  }
}

/** `<place>-<pid>-<start>`: at any time, process ids are unique within a place (a PID namespace of a boot). */
let owner: string | undefined

const placeOf = (of: string | undefined) => of?.slice(0, 8)

function describeOwner(): string {
  const start = startOf(process.pid)
  if (start === undefined) return `${randomBytes(4).toString('hex')}-${process.pid}-0` // no /proc
  const place = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8') + readlinkSync('/proc/self/ns/pid')
  return `${createHash('sha256').update(place).digest('hex').slice(0, 8)}-${process.pid}-${start}`
}

/** The start time of a process, in clock ticks after the boot; undefined if there is no such process. */
function startOf(pid: number): string | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return status.slice(status.lastIndexOf(')') + 2).split(' ')[19]
  } catch {
    return undefined
  }
}

const ageOf = (path: string): Promise<number> =>
  stat(toPath(path)).then(
    ({ mtimeMs }) => Date.now() - mtimeMs,
    () => 0,
  )

/** @internal The error for a file that could not be read: `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`, or that of {@link openRegular}. */
export function cannotRead(path: string, cause: unknown): VisionTorchError {
  if (cause instanceof VisionTorchError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'ENOTDIR'
    ? new VisionTorchError('ERR_FILE_NOT_FOUND', `${path}: no such file. Check the path`, { cause })
    : new VisionTorchError('ERR_FILE_READ', `${path}: cannot be read: ${message}`, { cause })
}

/** @internal The error for a file or folder that could not be written, with what to do about it. */
export function cannotWrite(path: string, cause: unknown): VisionTorchError {
  const { code, message } = cause as NodeJS.ErrnoException
  const remedies: Readonly<Record<string, string>> = {
    EACCES: 'you have no permission to write there. Choose another directory, or change its permissions',
    EPERM: 'you have no permission to write there. Choose another directory, or change its permissions',
    EROFS: 'the file system is read-only. Choose another directory',
    ENOSPC: 'the disk is full. Free some space, or choose a directory on another disk',
    EDQUOT: 'your quota is used up. Free some space, or choose a directory on another disk',
    EFBIG:
      'the file is larger than the file system, or the limit of this process (ulimit -f), allows. Choose another directory, or raise the limit',
    EMFILE: 'this process has too many open files. Close some, or raise the limit (ulimit -n)',
    ENFILE: 'the system has too many open files. Close some, or raise its limit',
    ENOTDIR: 'part of the path is a file, not a directory. Choose another directory',
    EEXIST: 'part of the path is a file, not a directory. Choose another directory',
    ENOENT: 'its directory does not exist. Create it first',
  }
  const why = remedies[code ?? ''] ?? message
  return new VisionTorchError('ERR_FILE_WRITE', `cannot write ${path}: ${why}`, { cause })
}
