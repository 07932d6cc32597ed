import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { VisionTorchError } from '../util/errors.js'
import { createApp } from './app.js'
import { toNodeListener } from './handler.js'
import type { Service } from './service.js'

export interface ListenOptions {
  host: string
  port: number
  /** Names for this server that requests may use besides the loopback names, if it listens on the loopback interface. */
  allowedHosts?: readonly string[]
}

/** After how long without requests a draining server assumes that no more will come. */
const QUIET_MILLISECONDS = 500

/** A server that listens on a port. */
export class RunningServer {
  private constructor(
    private readonly service: Service,
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(
    service: Service,
    { host, port, allowedHosts = [] }: ListenOptions,
  ): Promise<RunningServer> {
    const listener = toNodeListener(await createApp(service))
    const isAllowed = hostCheck(host, allowedHosts)
    const server = createServer((request, response) => {
      if (!service.isReady) response.setHeader('connection', 'close')
      if (isAllowed(request.headers.host)) return void listener(request, response)
      refuseHost(request, response)
    })
    server.headersTimeout = 20_000
    server.requestTimeout = service.options.timeout + 5000
    server.keepAliveTimeout = 75_000 // longer than that of load balancers, so that they never use a closed connection
    await new Promise<void>((resolve, reject) => {
      server.once('error', error => reject(cannotListen(error, host, port)))
      server.listen(port, host, resolve)
    })
    const address = server.address()
    const actual = typeof address === 'object' && address !== null ? address.port : port
    return new RunningServer(service, server, `http://${isIP(host) === 6 ? `[${host}]` : host}:${actual}`)
  }

  /**
   * Stops without failing a request. The server reports at once that it is not ready, and continues to answer until no request
   * has come for a moment or half of `milliseconds` have passed. Then it accepts no more connections, and waits for the
   * remaining requests.
   */
  async drain(milliseconds: number): Promise<void> {
    const { service, server } = this
    service.isReady = false
    const start = performance.now()
    const passed = () => performance.now() - start
    let quietSince = start
    const note = () => {
      quietSince = performance.now()
    }
    server.on('request', note)
    while (passed() < milliseconds / 2) {
      if (service.active > 0) note()
      if (performance.now() - quietSince >= QUIET_MILLISECONDS) break
      await sleep(20)
    }
    const closed = new Promise(resolve => server.close(resolve))
    server.closeIdleConnections()
    const left = new AbortController()
    await Promise.race([
      closed,
      sleep(Math.max(0, milliseconds - passed()), undefined, { signal: left.signal }),
    ])
    left.abort()
    server.closeAllConnections()
  }
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' ||
  host.endsWith('.localhost') ||
  host === '::1' ||
  (isIP(host) === 4 && host.startsWith('127.'))

/**
 * A web page can make its own host name resolve to 127.0.0.1 (DNS rebinding), and then read from a server on the loopback
 * interface as from its own. Such a server therefore answers only to the loopback names.
 */
function hostCheck(host: string, allowed: readonly string[]): (header: string | undefined) => boolean {
  if (!isLoopback(host)) return () => true
  return header => {
    if (header === undefined || !URL.canParse(`http://${header}`)) return false
    const name = new URL(`http://${header}`).hostname.replace(/^\[(.*)\]$/, '$1')
    return isLoopback(name) || allowed.includes(name)
  }
}

function refuseHost(request: IncomingMessage, response: ServerResponse): void {
  const message =
    'this server is for programs on its own machine. Use the name localhost, or allow this name with --allowed-host'
  request.resume()
  response.writeHead(403, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify({ error: { code: 'ERR_FORBIDDEN', message } }))
}

function cannotListen(error: NodeJS.ErrnoException, host: string, port: number): VisionTorchError {
  const why =
    error.code === 'EADDRINUSE'
      ? 'another program listens there. Choose another port, or end that program'
      : error.code === 'EACCES'
        ? 'this user may not. Choose a port above 1023'
        : error.message
  return new VisionTorchError('ERR_INVALID_ARGUMENT', `cannot listen on ${host}:${port}: ${why}`, {
    cause: error,
  })
}
