import { readFile } from 'node:fs/promises'
import autocannon from 'autocannon'
import { checkClasses } from '../measure.js'
import { Peer, type PeerName } from '../peer.js'
import { photoFolder } from '../photos.js'
import { beginCell, type Row, show, spread } from '../result.js'
import type { Options } from './options.js'

const names: PeerName[] = ['visiontorch', 'in process', 'onnxruntime', 'fastapi', 'litserve']

/** Seconds per measurement, and of the warm-up before the first one. */
const SECONDS = 5
const WARM_UP_SECONDS = 2

/** The measurement of one peer over some seconds; latencies in ms. */
export interface Load {
  perSecond: number
  mean: number
  p50: number
  p99: number
}

/** A peer's answer when it is ready: its class for the first photograph, and its port if it is a server. */
interface Ready {
  index?: number
  port?: number
}

/** Servers on the loopback interface under a load of JPEG files of 500 x 375, compared with predict() in a process. */
export async function serve({
  network = ['mobilenet_v2', 'resnet50'],
  connections = [1, 8, 64],
  dtype,
  rounds,
  threads,
}: Options): Promise<void> {
  const { photos } = await photoFolder(500, 375, 64)
  const bodies = await Promise.all(photos.map(path => readFile(path)))
  for (const name of network)
    for (const type of dtype) {
      const peers = new Map<PeerName, { peer: Peer; port: number | undefined }>()
      const classes = new Map<PeerName, { index: number }[]>()
      for (const peerName of type === 'float32' ? names : names.slice(0, 2)) {
        const task = { work: 'serve', network: name, dtype: type, threads, photos, seconds: SECONDS } as const
        const peer = new Peer(peerName, task)
        const { port, index = await classOf(port!, bodies[0]!) } = await peer.answer<Ready>()
        peers.set(peerName, { peer, port })
        classes.set(peerName, [{ index }])
      }
      checkClasses(classes)
      for (const { port } of peers.values())
        if (port !== undefined) await load(port, bodies, 8, WARM_UP_SECONDS)
      for (const count of connections) {
        const end = beginCell(
          `serve ${name}, ${type}, ${count} ${count === 1 ? 'connection' : 'connections'}`,
        )
        const loads = new Map<PeerName, Load[]>([...peers.keys()].map(peerName => [peerName, []]))
        for (let round = 0; round < rounds; round++)
          for (const [peerName, { peer, port }] of peers)
            loads
              .get(peerName)!
              .push(
                port === undefined ? await peer.run<Load>(count) : await load(port, bodies, count, SECONDS),
              )
        const rows: Record<string, Row> = {}
        for (const [peerName, all] of loads) {
          const median = (figure: keyof Load) => spread(all.map(values => values[figure])).median
          rows[peerName] = {
            // The time per image if requests came one after the other.
            times: all.map(({ perSecond }) => 1000 / perSecond),
            figures: {
              'requests/s': median('perSecond'),
              'mean ms': median('mean'),
              'p50 ms': median('p50'),
              'p99 ms': median('p99'),
            },
          }
        }
        show(end(rows))
      }
      for (const { peer } of peers.values()) await peer.end()
    }
}

const multipart = (body: Buffer) => {
  const head = '--photo\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n'
  return Buffer.concat([
    Buffer.from(`${head}Content-Type: image/jpeg\r\n\r\n`),
    body,
    Buffer.from('\r\n--photo--\r\n'),
  ])
}
const multipartType = { 'content-type': 'multipart/form-data; boundary=photo' }

/** LitServe accepts images only in forms; the other servers accept forms, too. */
const requestOf = (body: Buffer) => ({
  method: 'POST' as const,
  body: multipart(body),
  headers: multipartType,
})

async function classOf(port: number, body: Buffer): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/predict`, requestOf(body))
  const answer = (await response.json()) as {
    index?: number
    results?: { predictions: { index: number }[] }[]
  }
  return answer.index ?? answer.results![0]!.predictions[0]!.index
}

/** Opens so many connections, each of which sends its next request when it has the response. */
async function load(port: number, bodies: Buffer[], connections: number, duration: number): Promise<Load> {
  const result = await autocannon({
    url: `http://127.0.0.1:${port}/predict`,
    connections,
    duration,
    timeout: 60,
    requests: bodies.map(requestOf),
  })
  const failed = result.errors + result.timeouts + result.non2xx
  if (failed > 0) throw new Error(`${failed} requests failed`)
  const { average, p50, p99 } = result.latency
  return { perSecond: result['2xx'] / result.duration, mean: average, p50, p99 }
}
