import { createHash, type Hash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { type FileHandle, open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { EnvHttpProxyAgent, Response } from 'undici'
import { VisionTorchError } from '../util/errors.js'
import { invalid } from '../util/is.js'
import { printable } from '../util/text.js'
import { explain, type Failure, type Position, statusFailure, TRUNCATED } from './error.js'

export interface DownloadProgress {
  /** Bytes on the disk so far, including those from an earlier run. */
  received: number
  /** The size of the file, or null if the server does not say. */
  total: number | null
}

export interface DownloadOptions {
  /** The SHA-256 of the file in hexadecimal digits: all 64, or the first ones. */
  sha256?: string | undefined
  /** Also checks the hash if the destination already exists. Default false. */
  verify?: boolean
  signal?: AbortSignal | undefined
  onProgress?: ((progress: DownloadProgress) => void) | undefined
  /** Milliseconds without a byte after which a connection counts as stalled. Default 30,000. */
  stallTimeout?: number
  /** How often to retry a transfer that was cut or stalled without any progress. Default 3. */
  retries?: number
  /** Milliseconds before the first retry; the delay doubles with each retry. Default 1000. */
  retryDelay?: number
  /** The largest file that is accepted, in bytes. Default 16 GiB. */
  maxBytes?: number
  /** Credentials for the origin of the URL. They are left out when a redirect leads to another origin. */
  headers?: Readonly<Record<string, string>> | undefined
  /** An alternative for error messages, such as `put the file at PATH yourself`. */
  remedy?: string
}

const MAX_BYTES = 2 ** 34
const MAX_REDIRECTS = 5

/**
 * Downloads a file, unless the destination already exists. The data goes to `<destination>.part`, from which an
 * interrupted download continues, now or in a later run. A complete file with the correct hash is renamed, so the
 * destination is complete whenever it exists. Only one process at a time downloads to a destination; others wait for it.
 * The variables `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` apply.
 *
 * @throws ERR_DOWNLOAD (host name, connection, HTTP status, stall), ERR_DOWNLOAD_HASH, ERR_FILE_WRITE (disk full, not
 *   writable), each with a remedy; the reason of `signal` if that is aborted.
 */
export async function download(
  url: string,
  destination: string,
  options: DownloadOptions = {},
): Promise<void> {
  const { sha256, verify = false } = options
  if (!/^https?:/.test(url) || !URL.canParse(url)) throw invalid('url', 'an http(s) URL', url)
  if (await exists(destination)) {
    if (verify && sha256 !== undefined) await verifyFile(destination, sha256, options.signal)
    return
  }
  const lost = new AbortController()
  const signal = AbortSignal.any([lost.signal, ...(options.signal === undefined ? [] : [options.signal])])
  const transfer = new Transfer(url, destination, { ...options, signal })
  try {
    const release = await lock(destination, lost, signal)
    try {
      // The previous owner of the lock may have finished the file.
      if (!(await exists(destination))) await transfer.run()
    } finally {
      await release().catch(() => {}) // lost, then
    }
  } catch (error) {
    signal.throwIfAborted()
    throw error instanceof VisionTorchError ? error : transfer.explain(error).error
  }
}

async function verifyFile(path: string, sha256: string, signal: AbortSignal | undefined): Promise<void> {
  const hash = createHash('sha256')
  await hashFile(path, hash, signal)
  const digest = hash.digest('hex')
  if (digest.startsWith(sha256.toLowerCase())) return
  throw new VisionTorchError(
    'ERR_DOWNLOAD_HASH',
    `${path}: ${wrongHash(sha256, digest)}. Remove the file, so that it is downloaded again`,
  )
}

const wrongHash = (expected: string, got: string): string =>
  `expected a file whose SHA-256 starts with ${expected}, got ${got}`

/** Downloads one file, in one or more attempts. */
class Transfer {
  readonly #part: string
  /** Identifies the file that the partial file belongs to: the URL, and the validator that the server sent. */
  readonly #notes: string
  #agent: EnvHttpProxyAgent | undefined
  #hash = createHash('sha256')
  #at: Position = { received: 0, total: null }

  constructor(
    private readonly url: string,
    private readonly destination: string,
    private readonly options: DownloadOptions & { signal: AbortSignal },
  ) {
    this.#part = `${destination}.part`
    this.#notes = `${destination}.part.json`
  }

  async run(): Promise<void> {
    const { retries = 3, retryDelay = 1000, signal, sha256 } = this.options
    try {
      const resumed = await this.#resume()
      let furthest = this.#at.received
      for (let retry = 0; ; ) {
        const failure = await this.#attempt()
        if (failure === undefined) break
        retry = this.#at.received > furthest ? 1 : retry + 1
        furthest = Math.max(furthest, this.#at.received)
        if (!failure.retry || retry > retries) throw failure.error
        await sleep(retryDelay * 2 ** (retry - 1), signal)
      }
      if (sha256 !== undefined) await this.#check(sha256, resumed)
      await rename(this.#part, this.destination)
      await rm(this.#notes, { force: true })
    } finally {
      await this.#agent?.destroy()
    }
  }

  explain(error: unknown): Failure {
    return explain(error, this.url, this.destination, this.#at, this.options.remedy ?? '')
  }

  /** Continues the partial file of an earlier run, if it is known to belong to the same file. */
  async #resume(): Promise<boolean> {
    const size = await sizeOf(this.#part)
    if (size === 0) return false
    const notes = await this.#readNotes()
    if (notes?.url !== this.url) return false
    if (notes.validator === undefined && this.options.sha256 === undefined) return false
    await hashFile(this.#part, this.#hash, this.options.signal)
    this.#at = { received: size, total: null }
    return true
  }

  /** Makes one request. Returns its failure, or undefined if the file is complete. */
  async #attempt(): Promise<Failure | undefined> {
    const { signal } = this.options
    let file: FileHandle | undefined
    try {
      const response = await this.#request()
      const failure = await this.#accept(response)
      if (failure !== undefined) return failure
      if (response.status === 416) return undefined // nothing is missing
      file = await open(this.#part, this.#at.received > 0 ? 'a' : 'w')
      for await (const chunk of response.body ?? []) {
        await this.#checkLength(this.#at.received + chunk.length)
        await file.appendFile(chunk)
        this.#hash.update(chunk)
        this.#at.received += chunk.length
        this.options.onProgress?.({ ...this.#at })
      }
      if (this.#at.received < (this.#at.total ?? 0)) {
        throw Object.assign(new Error('the body ended early'), { code: TRUNCATED })
      }
      await file.sync()
      return undefined
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof VisionTorchError) throw error
      return this.explain(error)
    } finally {
      await file?.close()
    }
  }

  async #request(): Promise<Response> {
    // If the body were compressed, positions in the file and in the body would differ.
    const headers: Record<string, string> = { 'accept-encoding': 'identity' }
    if (this.#at.received > 0) {
      headers.range = `bytes=${this.#at.received}-`
      const validator = (await this.#readNotes())?.validator
      if (validator !== undefined) headers['if-range'] = validator
    }
    const { EnvHttpProxyAgent, fetch } = await import('undici') // imported here, because most processes download nothing
    const { stallTimeout: timeout = 30_000, signal } = this.options
    this.#agent ??= new EnvHttpProxyAgent({
      headersTimeout: timeout,
      bodyTimeout: timeout,
      connect: { timeout },
    })
    let url = this.url
    for (let redirects = 0; ; redirects++) {
      const response = await fetch(url, {
        headers: isSameOrigin(url, this.url) ? { ...this.options.headers, ...headers } : headers,
        dispatcher: this.#agent,
        signal,
        redirect: 'manual',
      })
      const location = response.status >= 300 && response.status < 400 && response.headers.get('location')
      if (!location) return response
      await response.body?.cancel()
      if (redirects === MAX_REDIRECTS) throw refused(this.url, `more than ${MAX_REDIRECTS} redirects`)
      url = redirected(url, location)
    }
  }

  /** Reads the head of the response: where its body goes in the file, and how long the file is. */
  async #accept(response: Response): Promise<Failure | undefined> {
    const { status, headers } = response
    const range = /^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '')
    const total = range?.[2] === undefined || range[2] === '*' ? null : Number(range[2])
    if (status === 206 && this.#at.received > 0 && Number(range?.[1]) === this.#at.received) {
      this.#at.total = total
    } else if (status === 416 && total === this.#at.received) {
      this.#at.total = total
      await response.body?.cancel()
      return undefined
    } else if (status === 206 || status === 416) {
      await response.body?.cancel()
      const failure = this.explain(new Error('the server sent a different part than requested'))
      await this.#discard()
      return { ...failure, retry: true }
    } else if (status === 200) {
      // There was no partial file, or the server cannot continue, or the file has changed.
      await this.#discard()
      const length = headers.get('content-length')
      this.#at.total = length === null ? null : Number(length)
      const etag = headers.get('etag') ?? 'W/'
      const validator = etag.startsWith('W/') ? (headers.get('last-modified') ?? undefined) : etag
      await writeFile(this.#notes, JSON.stringify({ url: this.url, validator }))
    } else {
      await response.body?.cancel()
      return statusFailure(this.url, status, response.statusText, this.options.remedy ?? '')
    }
    await this.#checkLength(this.#at.total ?? this.#at.received)
    await this.#checkSpace()
    return undefined
  }

  /** Refuses a file of this many bytes if that is more than the limit, and keeps nothing of it. */
  async #checkLength(bytes: number): Promise<void> {
    const { maxBytes = MAX_BYTES } = this.options
    if (bytes <= maxBytes) return
    await rm(this.#part, { force: true })
    throw refused(this.url, `expected at most ${maxBytes} bytes, but the server sends ${bytes} or more`)
  }

  async #checkSpace(): Promise<void> {
    const { received, total } = this.#at
    const { bavail, bsize } = await statfs(dirname(this.destination))
    if (total === null || total - received <= bavail * bsize) return
    throw Object.assign(
      new Error(`${total - received} more bytes are needed, but only ${bavail * bsize} are free`),
      {
        code: 'ENOSPC',
      },
    )
  }

  async #check(sha256: string, resumed: boolean): Promise<void> {
    const digest = this.#hash.digest('hex')
    if (digest.startsWith(sha256.toLowerCase())) return
    await this.#discard()
    if (!resumed) {
      const { remedy = 'use another URL' } = this.options
      throw new VisionTorchError(
        'ERR_DOWNLOAD_HASH',
        `${this.url}: ${wrongHash(sha256, digest)}. It was changed or damaged on the way and has been discarded. Try again, or ${remedy}`,
      )
    }
    // The part from an earlier run may be damaged, so try once more from the beginning.
    const failure = await this.#attempt()
    if (failure !== undefined) throw failure.error
    await this.#check(sha256, false)
  }

  async #discard(): Promise<void> {
    if ((await sizeOf(this.#part)) > 0) await rm(this.#part)
    this.#hash = createHash('sha256')
    this.#at = { received: 0, total: null }
  }

  async #readNotes(): Promise<{ url: string; validator?: string } | undefined> {
    try {
      return JSON.parse(await readFile(this.#notes, 'utf8'))
    } catch {
      return undefined
    }
  }
}

/** @internal Whether two URLs have the same scheme, host and port. */
export const isSameOrigin = (a: string, b: string): boolean => new URL(a).origin === new URL(b).origin

/** @internal The target of a redirect. A file that was requested by https is never fetched in another way. */
export function redirected(from: string, location: string): string {
  const to = new URL(location, from)
  const isAllowed = to.protocol === 'https:' || (to.protocol === 'http:' && from.startsWith('http:'))
  if (!isAllowed) throw refused(from, `the server redirects to ${printable(to.href)}, which is not https`)
  return to.href
}

function refused(url: string, why: string): VisionTorchError {
  return new VisionTorchError(
    'ERR_DOWNLOAD',
    `${url}: ${why}. Nothing was kept. Check the URL and the mirror`,
  )
}

async function hashFile(path: string, hash: Hash, signal: AbortSignal | undefined): Promise<void> {
  for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 18 })) {
    signal?.throwIfAborted()
    hash.update(chunk)
  }
}

/**
 * Waits until no other process downloads to the destination. The lock of an owner that died is taken over after ten
 * seconds. An owner that slept that long, for example on a suspended machine, has lost its lock and is stopped.
 */
async function lock(
  destination: string,
  lost: AbortController,
  signal: AbortSignal,
): Promise<() => Promise<void>> {
  // Imported here, because it installs handlers for the signals of the process.
  const { default: lockfile } = await import('proper-lockfile')
  const onCompromised = (): void =>
    lost.abort(
      new VisionTorchError(
        'ERR_DOWNLOAD',
        `${destination}: another process took over the download. Try again`,
      ),
    )
  for (;;) {
    signal.throwIfAborted()
    try {
      return await lockfile.lock(destination, { realpath: false, onCompromised })
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ELOCKED') throw error
    }
    await sleep(250, signal)
  }
}

async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted())
}

const exists = async (path: string): Promise<boolean> => (await sizeOf(path, -1)) >= 0

const sizeOf = (path: string, missing = 0): Promise<number> =>
  stat(path).then(
    found => found.size,
    () => missing,
  )
