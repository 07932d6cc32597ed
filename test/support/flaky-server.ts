import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** The server's behaviour for one request. `send` answers like a correct server, with `Range` and `If-Range`. */
export type Behaviour = (request: IncomingMessage, response: ServerResponse, send: () => void) => void

/** Each behaviour serves one request; the last one also serves all that follow. */
export const behave = {
  well: ((_request, _response, send) => send()) as Behaviour,
  /**
   * Sends what was asked for up to a position in the file, then cuts the connection. A client may lose what it had
   * received and not yet handled, so the cut waits for `handled`.
   */
  cutAt:
    (position: number, handled: () => Promise<void>): Behaviour =>
    (request, response, send) => {
      const write = response.write.bind(response)
      const at = firstByte(request)
      response.end = ((chunk: Buffer) => {
        write(chunk.subarray(0, position - at), () => handled().then(() => response.destroy()))
      }) as never
      send()
    },
  /** Sends what was asked for up to a position in the file, and then nothing, without closing. */
  stallAt:
    (position: number): Behaviour =>
    (request, response, send) => {
      const write = response.write.bind(response)
      const at = firstByte(request)
      response.end = ((chunk: Buffer) => write(chunk.subarray(0, position - at))) as never
      send()
    },
  neverAnswer: (() => {}) as Behaviour,
  status:
    (code: number): Behaviour =>
    (_request, response) => {
      response.writeHead(code, { 'content-type': 'text/html' })
      response.end('<html>no</html>')
    },
  /** Answers like a server that does not support ranges. */
  ignoreRange: ((request, _response, send) => {
    delete request.headers.range
    send()
  }) as Behaviour,
  /** Sends a part other than the requested one. */
  wrongRange: ((_request, response) => {
    response.writeHead(206, { 'content-range': 'bytes 0-4/1000', 'content-length': 5 })
    response.end('wrong')
  }) as Behaviour,
}

const firstByte = (request: IncomingMessage): number =>
  Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0)

/** A web server on the loopback interface that serves one file and misbehaves on demand. */
export class FlakyServer {
  readonly requests: IncomingMessage[] = []
  content: Buffer
  etag: string | undefined = '"one"'
  lastModified: string | undefined
  /** Whether the server announces the length of the file. */
  length = true
  behaviours: Behaviour[] = [behave.well]
  readonly #server = createServer((request, response) => {
    this.requests.push(request)
    const behaviour = this.behaviours.length > 1 ? this.behaviours.shift()! : this.behaviours[0]!
    behaviour(request, response, () => this.#send(request, response))
  })

  constructor(content: Buffer) {
    this.content = content
  }

  async start(): Promise<string> {
    await new Promise<void>(resolve => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise(resolve => this.#server.close(resolve))
  }

  /** The first byte that each request requested. */
  get starts(): number[] {
    return this.requests.map(firstByte)
  }

  #send(request: IncomingMessage, response: ServerResponse): void {
    const validator = this.etag ?? this.lastModified
    const ifRange = request.headers['if-range']
    const same = ifRange === undefined || ifRange === validator
    const start = same ? firstByte(request) : 0
    const size = this.content.length
    if (this.etag !== undefined) response.setHeader('etag', this.etag)
    if (this.lastModified !== undefined) response.setHeader('last-modified', this.lastModified)
    if (start >= size && start > 0) {
      response.writeHead(416, { 'content-range': `bytes */${size}` })
      response.end()
      return
    }
    const body = this.content.subarray(start)
    if (this.length) response.setHeader('content-length', body.length)
    if (start > 0) response.setHeader('content-range', `bytes ${start}-${size - 1}/${size}`)
    response.writeHead(start > 0 ? 206 : 200)
    response.end(body)
  }
}
