import { createHash } from 'node:crypto'
import { createReadStream, existsSync } from 'node:fs'
import { mkdir, readdir, readFile, rm, stat, symlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import type { Response } from 'undici'
import { type DownloadProgress, download, isSameOrigin, redirected } from '../download/download.js'
import { explain } from '../download/error.js'
import { VisionTorchError } from '../util/errors.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { invalid } from '../util/is.js'
import { printable } from '../util/text.js'

// The Hugging Face Hub's HTTP interface and the cache of its Python library (huggingface_hub), whose files are shared.

/** A repository on the Hub, as `hf:owner/name[@revision]` names it. */
export interface HubRepository {
  name: string
  /** A branch, a tag or a commit. */
  revision: string
}

/** Whether weights are named as on the Hub. */
export const isHubName = (name: string): boolean => /^hf:/i.test(name)

/** @throws ERR_INVALID_ARGUMENT for anything but a repository's name. */
export function parseHubName(name: string): HubRepository {
  const part = '[A-Za-z0-9_](?:[\\w.-]{0,94}\\w)?'
  const found = new RegExp(`^hf:(${part}/${part})(?:@([\\w][\\w./-]{0,249}))?$`, 'i').exec(name)
  const [, repository, revision = 'main'] = found ?? []
  if (repository === undefined || /\.\.|--/.test(repository) || /\.\.|\/\/|\/$/.test(revision))
    throw invalid(
      'weights',
      "a repository of the Hugging Face Hub: 'hf:owner/name' or 'hf:owner/name@revision'",
      name,
    )
  return { name: repository, revision }
}

export interface FetchHubOptions {
  signal?: AbortSignal | undefined
  onProgress?: ((progress: DownloadProgress) => void) | undefined
}

/** The paths of a repository's files. */
export interface HubFiles {
  weights: string
  /** The path of `config.json`; null if the repository has none. */
  config: string | null
}

/** The names of weight files, the preferred one first. Their bytes, not their names, decide their format. */
const weightsNames = [
  'model.safetensors',
  'pytorch_model.safetensors',
  'pytorch_model.bin',
  'model.pth',
  'model.pt',
]
const CONFIG = 'config.json'
const MAX_CONFIG = 2 ** 24 // bytes
const MAX_WEIGHTS = 2 ** 34
const MAX_ANSWER = 2 ** 25 // of the list of files, in bytes
const TIMEOUT = 30_000 // ms
const MAX_REDIRECTS = 5

/**
 * The weights of a repository and its `config.json`. They are downloaded into the Hub's cache (`HF_HOME`, `HF_HUB_CACHE`) if
 * they are not there. Interrupted downloads continue, and hashes are checked. Without a network, or with `HF_HUB_OFFLINE=1`,
 * the files that the cache has for the revision are used.
 *
 * @throws ERR_DOWNLOAD, ERR_DOWNLOAD_HASH, ERR_FILE_WRITE, ERR_CHECKPOINT_UNSUPPORTED if the repository does not have
 *   exactly one file of weights.
 */
export async function fetchFromHub(
  repository: HubRepository,
  options: FetchHubOptions = {},
): Promise<HubFiles> {
  const cache = new RepositoryCache(repository)
  const cached = await cache.find()
  const isPinned = /^[0-9a-f]{40}$/.test(repository.revision)
  if (cached !== undefined && (isPinned || isOffline())) return cached
  if (isOffline())
    throw failure(
      repository,
      'it is not in the cache, and HF_HUB_OFFLINE forbids downloading it. Unset HF_HUB_OFFLINE',
    )
  const api = new Api(repository, options.signal)
  let answer: { commit: string; files: string[] }
  try {
    answer = await api.list()
  } catch (error) {
    options.signal?.throwIfAborted()
    if (cached === undefined || !(error instanceof Unreachable)) throw error
    return cached
  }
  const { commit, files } = answer
  const weights = chooseWeights(repository, files)
  const get = async (file: string, onProgress?: FetchHubOptions['onProgress']) => {
    const path = cache.snapshot(commit, file)
    if (existsSync(path)) return path
    const { etag, size } = await api.head(commit, file)
    await cache.add(commit, file, etag, blob =>
      download(api.fileUrl(commit, file), blob, {
        sha256: /^[0-9a-f]{64}$/.test(etag) ? etag : undefined,
        maxBytes: file === CONFIG ? MAX_CONFIG : (size ?? MAX_WEIGHTS),
        headers: api.credentials,
        signal: options.signal,
        onProgress,
      }),
    )
    return path
  }
  const config = files.includes(CONFIG) ? await get(CONFIG) : null
  const path = await get(weights, options.onProgress)
  await cache.remember(commit)
  return { weights: path, config }
}

const isOffline = () => /^(1|on|yes|true)$/i.test(process.env.HF_HUB_OFFLINE ?? '')

function chooseWeights(repository: HubRepository, files: readonly string[]): string {
  const usual = weightsNames.find(name => files.includes(name))
  if (usual !== undefined) return usual
  const others = files.filter(name => /^[^/]+\.(safetensors|pth|pt|bin|ckpt)$/.test(name))
  const isSafe = others.filter(name => name.endsWith('.safetensors'))
  const [only, ...more] = isSafe.length === 1 ? isSafe : others
  if (only !== undefined && more.length === 0) return only
  const why = files.some(name => name.endsWith('.index.json'))
    ? 'its weights are split into several files'
    : only === undefined
      ? 'it has no file of weights (.safetensors, .bin, .pth)'
      : `it has several files of weights: ${others
          .slice(0, 5)
          .map(name => printable(name, 80))
          .join(', ')}`
  throw new VisionTorchError(
    'ERR_CHECKPOINT_UNSUPPORTED',
    `hf:${repository.name}: ${why}. Download one file of weights, and give its path`,
  )
}

/** The Hub cannot be reached, as opposed to refusing the files. */
class Unreachable extends VisionTorchError {}

const failure = ({ name, revision }: HubRepository, why: string, cause?: unknown) =>
  new VisionTorchError('ERR_DOWNLOAD', `hf:${name}@${revision}: ${why}`, { cause })

/** Requests to the Hub about one repository. */
class Api {
  readonly #endpoint: string
  readonly credentials: Readonly<Record<string, string>>

  constructor(
    private readonly repository: HubRepository,
    private readonly signal: AbortSignal | undefined,
  ) {
    const endpoint = process.env.HF_ENDPOINT || 'https://huggingface.co'
    if (!/^https?:\/\/./.test(endpoint) || !URL.canParse(endpoint))
      throw invalid('HF_ENDPOINT', 'the http(s) URL of a Hugging Face Hub', endpoint)
    this.#endpoint = endpoint.replace(/\/+$/, '')
    const token = process.env.HF_TOKEN?.trim()
    this.credentials = token ? { authorization: `Bearer ${token}` } : {}
  }

  /** The revision's commit and the names of its files. */
  async list(): Promise<{ commit: string; files: string[] }> {
    const { name, revision } = this.repository
    const url = `${this.#endpoint}/api/models/${name}/revision/${encodeURIComponent(revision)}`
    const text = await this.#request(url, 'GET', async response => readText(this.repository, response))
    let answer: { sha?: unknown; siblings?: unknown } | null
    try {
      answer = JSON.parse(text)
    } catch {
      answer = null
    }
    const { sha, siblings } = answer ?? {}
    if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha) || !Array.isArray(siblings))
      throw failure(this.repository, `${url} did not answer as the Hub does. Check HF_ENDPOINT`)
    // Only files at the top level are used: a name with a folder or `..` could lead elsewhere.
    const files = siblings
      .map((item: { rfilename?: unknown } | null) => item?.rfilename)
      .filter((file): file is string => typeof file === 'string' && /^[\w+-][\w.+-]*$/.test(file))
    return { commit: sha, files }
  }

  fileUrl(commit: string, file: string): string {
    return `${this.#endpoint}/${this.repository.name}/resolve/${commit}/${encodeURIComponent(file)}`
  }

  /** The size of a file, and the hash of its content: the SHA-256 of a large file, or Git's hash of a small one. */
  async head(commit: string, file: string): Promise<{ etag: string; size: number | null }> {
    const url = this.fileUrl(commit, file)
    return this.#request(url, 'HEAD', async ({ headers }) => {
      const etag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '').replace(/^W\/|"/g, '')
      if (!/^[\w-]{8,128}$/.test(etag))
        throw failure(this.repository, `${url} has no ETag. Check HF_ENDPOINT`)
      const size = Number(headers.get('x-linked-size') ?? Number.NaN)
      return { etag, size: Number.isSafeInteger(size) ? size : null }
    })
  }

  /** Follows redirects within the Hub; a redirect to another host is returned as the response. */
  async #request<T>(
    url: string,
    method: 'GET' | 'HEAD',
    use: (response: Response) => Promise<T>,
  ): Promise<T> {
    const { EnvHttpProxyAgent, fetch } = await import('undici') // imported here, because most processes download nothing
    const timeouts = { headersTimeout: TIMEOUT, bodyTimeout: TIMEOUT, connect: { timeout: TIMEOUT } }
    const dispatcher = new EnvHttpProxyAgent(timeouts)
    const headers = { ...this.credentials, 'accept-encoding': 'identity' }
    const { signal = null } = this
    try {
      for (let at = url, redirects = 0; ; redirects++) {
        const response = await fetch(at, { method, headers, dispatcher, signal, redirect: 'manual' })
        const location = response.status >= 300 && response.status < 400 && response.headers.get('location')
        const next = location ? redirected(at, location) : undefined
        if (next === undefined || !isSameOrigin(next, url)) {
          if (response.status >= 400) throw this.#refusal(url, response.status)
          return await use(response)
        }
        if (redirects === MAX_REDIRECTS)
          throw failure(this.repository, `${url} redirects endlessly. Check HF_ENDPOINT`)
        at = next
      }
    } catch (error) {
      this.signal?.throwIfAborted()
      if (error instanceof VisionTorchError) throw error
      const { error: explained } = explain(error, url, '', { received: 0, total: null }, '')
      throw new Unreachable('ERR_DOWNLOAD', explained.message, { cause: error })
    } finally {
      await dispatcher.destroy()
    }
  }

  #refusal(url: string, status: number): VisionTorchError {
    const { name } = this.repository
    const why =
      status === 404
        ? 'there is no such repository, revision or file. Check the name'
        : status === 401 || status === 403
          ? 'there is no such repository, or it is private or gated. Check the name; if it is right, set HF_TOKEN to a token ' +
            `with access to it, and accept its conditions at ${this.#endpoint}/${name}`
          : 'the Hub has a problem. Try again later'
    const message = `hf:${name}@${this.repository.revision}: ${url}: HTTP status ${status}: ${why}`
    return status >= 500 || status === 429
      ? new Unreachable('ERR_DOWNLOAD', message)
      : new VisionTorchError('ERR_DOWNLOAD', message)
  }
}

async function readText(repository: HubRepository, response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > MAX_ANSWER)
      throw failure(repository, `the list of its files has more than ${MAX_ANSWER} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/**
 * A repository's folder in the cache of huggingface_hub: `blobs/<etag>` are the files, `snapshots/<commit>/<file>` link to
 * them, and `refs/<revision>` holds a commit.
 */
class RepositoryCache {
  readonly #folder: string
  readonly #ref: string

  constructor(private readonly repository: HubRepository) {
    const home =
      process.env.HF_HOME || join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface')
    const cache = process.env.HF_HUB_CACHE || join(home, 'hub')
    this.#folder = join(cache, `models--${repository.name.replace('/', '--')}`)
    this.#ref = join(this.#folder, 'refs', repository.revision)
  }

  snapshot(commit: string, file: string): string {
    return join(this.#folder, 'snapshots', commit, file)
  }

  /** The files of the revision, if the cache has its weights. */
  async find(): Promise<HubFiles | undefined> {
    const { revision } = this.repository
    const ref = await readFile(this.#ref, 'utf8').catch(() => revision)
    const commit = ref.trim()
    if (!/^[0-9a-f]{40}$/.test(commit)) return undefined
    const names = await readdir(join(this.#folder, 'snapshots', commit)).catch(() => [])
    const present = names.filter(name => existsSync(this.snapshot(commit, name)))
    try {
      const weights = this.snapshot(commit, chooseWeights(this.repository, present))
      return { weights, config: present.includes(CONFIG) ? this.snapshot(commit, CONFIG) : null }
    } catch {
      return undefined
    }
  }

  /** Fills `blobs/<etag>` if it does not exist, and links the snapshot's file to it. */
  async add(
    commit: string,
    file: string,
    etag: string,
    fill: (blob: string) => Promise<void>,
  ): Promise<void> {
    const blob = join(this.#folder, 'blobs', etag)
    const link = this.snapshot(commit, file)
    for (const folder of [dirname(blob), dirname(link)]) {
      await mkdir(folder, { recursive: true }).catch(error => {
        throw cannotWrite(folder, error)
      })
    }
    await fill(blob)
    await this.#checkGitHash(blob, etag)
    try {
      await symlink(relative(dirname(link), blob), link)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return // another process created it
      await copyFile(blob, link) // the file system has no links
    }
  }

  /** Git's hash of a small file: SHA-1 of its length and content. */
  async #checkGitHash(blob: string, etag: string): Promise<void> {
    if (!/^[0-9a-f]{40}$/.test(etag)) return
    const { size } = await stat(blob)
    const hash = createHash('sha1').update(`blob ${size}\0`)
    for await (const chunk of createReadStream(blob)) hash.update(chunk)
    const digest = hash.digest('hex')
    if (digest === etag) return
    await rm(blob, { force: true })
    throw new VisionTorchError(
      'ERR_DOWNLOAD_HASH',
      `hf:${this.repository.name}: expected a file whose Git hash is ${etag}, got ${digest}. It was changed or damaged on ` +
        'the way and has been discarded. Try again',
    )
  }

  async remember(commit: string): Promise<void> {
    if (commit === this.repository.revision) return
    await mkdir(dirname(this.#ref), { recursive: true })
    await replaceFile(this.#ref, commit)
  }
}

const copyFile = (from: string, to: string): Promise<void> =>
  replaceFile(to, async file => {
    for await (const chunk of createReadStream(from)) await file.appendFile(chunk)
  })
