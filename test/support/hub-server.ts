import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { FlakyServer } from './flaky-server.js'

export const sha256 = (content: Buffer): string => createHash('sha256').update(content).digest('hex')
/** Git's hash of a file. */
export const gitHash = (content: Buffer): string =>
  createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')

/**
 * A server that answers like the Hugging Face Hub for one repository: it sends small files itself, and redirects to another
 * host for the weights.
 */
export class HubServer {
  readonly commit = '0123456789abcdef0123456789abcdef01234567'
  readonly requests: IncomingMessage[] = []
  /** The host that serves the weights. */
  readonly cdn: FlakyServer
  /** Files that the Hub serves itself. */
  readonly small = new Map<string, Buffer>()
  /** If set, the server answers only requests with this token. */
  token: string | undefined
  /** The hash of the weights that the Hub announces. */
  etag: string
  #cdnAddress = ''
  readonly #server = createServer((request, response) => {
    this.requests.push(request)
    this.#answer(request, response)
  })

  constructor(
    readonly repository: string,
    readonly weights: string,
    content: Buffer,
  ) {
    this.cdn = new FlakyServer(content)
    this.etag = sha256(content)
  }

  async start(): Promise<string> {
    this.#cdnAddress = await this.cdn.start()
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
    await this.cdn.stop()
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const [status, body, headers] = this.#answerTo(request)
    response.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers })
    response.end(request.method === 'HEAD' ? undefined : body)
  }

  #answerTo({ url = '', headers }: IncomingMessage): [number, string, Record<string, string>] {
    if (this.token !== undefined && headers.authorization !== `Bearer ${this.token}`)
      return [401, 'Repository Not Found', {}]
    const { commit, repository } = this
    const revisions = ['main', commit]
    if (revisions.some(revision => url === `/api/models/${repository}/revision/${revision}`)) {
      const siblings = [...this.small.keys(), this.weights, 'README.md'].map(rfilename => ({ rfilename }))
      return [200, JSON.stringify({ id: repository, sha: commit, siblings }), {}]
    }
    const isFile = revisions.some(revision => url.startsWith(`/${repository}/resolve/${revision}/`))
    const file = isFile ? url.slice(url.lastIndexOf('/') + 1) : ''
    if (file === this.weights) {
      const linked = {
        'x-linked-etag': `"${this.etag}"`,
        'x-linked-size': String(this.cdn.content.length),
        'x-repo-commit': commit,
      }
      return [302, '', { location: `${this.#cdnAddress}/signed?x=1`, ...linked }]
    }
    const content = this.small.get(file)
    if (content === undefined) return [404, 'Entry not found', {}]
    return [200, content.toString(), { etag: `"${gitHash(content)}"`, 'x-repo-commit': commit }]
  }
}
