import { createWriteStream } from 'node:fs'
import { mkdir, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { crc32 } from 'node:zlib'
import { type Entry, openPromise } from 'yauzl'
import { VisionTorchError } from '../util/errors.js'
import { libraryName } from './library.js'

/** The largest total size of an unpacked archive, which no build of LibTorch reaches. */
const MAX_BYTES = 2 ** 34

export interface ExtractOptions {
  signal?: AbortSignal | undefined
  /** Called with the bytes written so far, and the total. */
  onProgress?: ((done: number, total: number) => void) | undefined
}

/**
 * Unpacks the files for running and building against LibTorch (libraries, headers, version, licences) from LibTorch's own
 * archive (`libtorch/…`) or from a PyTorch wheel (`torch/…`). Both are zip files.
 * @throws VisionTorchError `ERR_LIBTORCH` if the archive is damaged or not LibTorch's.
 */
export async function extractLibTorch(archive: string, directory: string, options: ExtractOptions = {}) {
  try {
    await extract(archive, directory, options)
  } catch (cause) {
    const { code, name, message } = cause as NodeJS.ErrnoException
    if (cause instanceof VisionTorchError || name === 'AbortError') throw cause
    if (code !== undefined)
      throw new VisionTorchError('ERR_FILE_WRITE', `${directory}: ${message}`, { cause })
    throw new VisionTorchError('ERR_LIBTORCH', `${archive} is damaged: ${message}. Download it again`, {
      cause,
    })
  }
}

async function extract(archive: string, directory: string, { signal, onProgress }: ExtractOptions) {
  using zip = closing(await openPromise(archive, { autoClose: false }))
  const wanted: { entry: Entry; path: string }[] = []
  for await (const entry of zip.eachEntry()) {
    const path = destination(entry.fileName)
    if (path !== undefined) wanted.push({ entry, path: join(directory, path) })
  }
  if (!wanted.some(({ path }) => /lib\/libc10\.(so|dylib)$/.test(path)))
    throw new VisionTorchError(
      'ERR_LIBTORCH',
      `${archive}: expected LibTorch's archive or a PyTorch wheel, but it has no libtorch/lib/${libraryName('c10')}. Check the file`,
    )

  const total = wanted.reduce((sum, { entry }) => sum + entry.uncompressedSize, 0)
  await checkSpace(directory, total)
  let done = 0
  for (const { entry, path } of wanted) {
    await mkdir(dirname(path), { recursive: true })
    let sum = 0
    const check = new Transform({
      transform(chunk: Buffer, _, next) {
        sum = crc32(chunk, sum)
        done += chunk.length
        onProgress?.(done, total)
        next(null, chunk)
      },
    })
    const target = createWriteStream(path)
    await pipeline(
      await zip.openReadStreamPromise(entry),
      check,
      target,
      signal === undefined ? {} : { signal },
    )
    if (sum !== entry.crc32) throw new Error(`the checksum of ${entry.fileName} is wrong`)
  }
}

/** Checks the total of the declared sizes. The zip reader enforces the size of every entry, so no more is written. */
async function checkSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory)
  if (bytes <= MAX_BYTES && bytes <= bavail * bsize) return
  const limit = Math.min(MAX_BYTES, bavail * bsize)
  throw new VisionTorchError(
    'ERR_FILE_WRITE',
    `${directory}: the archive unpacks to ${bytes} bytes, but there is only room for ${limit}. Free some space, or check the archive`,
  )
}

/** The destination of an entry of the archive, or undefined if it is not needed (Python, tests, tools). */
function destination(name: string): string | undefined {
  const licence = /^torch-[^/]+\.dist-info\/(licenses\/.*|LICENSE|NOTICE)$/.exec(name)
  if (licence !== null)
    return name.endsWith('/') ? undefined : join('licenses', licence[1]!.replace(/^licenses\//, ''))
  const path = /^(?:lib)?torch\/(.*[^/])$/.exec(name)?.[1]
  if (path === undefined) return undefined
  if (path === 'version.py' || path === 'build-version' || path.startsWith('include/')) return path
  if (
    /^lib\/lib[^/]*\.(so[^/]*|dylib)$/.test(path) &&
    !/torch_python|shm|_test|backend_with|aoti_custom/.test(path)
  )
    return path
  return undefined
}

function closing<T extends { close(): void }>(resource: T): T & Disposable {
  return Object.assign(resource, { [Symbol.dispose]: () => resource.close() })
}
