import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import sharp from 'sharp'
import type { Prediction } from '../../lib/index.js'

/** The JSON of every answer of POST /predict. */
export interface Answer {
  model: string
  version: number
  predictions: Prediction[]
  results: { file?: string; predictions: Prediction[]; error: { code: string; message: string } }[]
  error: { code: string; message: string; requestId: string }
}

export const answerOf = async (response: Response): Promise<Answer> => (await response.json()) as Answer

const servers: Server[] = []

/** Listens on a free port of the loopback interface and returns the URL. */
export async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  servers.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Call in an `after`. */
export async function closeServers(): Promise<void> {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise(resolve => server.close(resolve))
  }
}

/** Makes a noisy picture of 40 x 40 pixels that depends on the seed. */
export function picture(seed: number, format: 'png' | 'jpeg' = 'png', size = 40): Promise<Buffer> {
  const data = Buffer.alloc(size * size * 3)
  for (let i = 0; i < data.length; i++) data[i] = (i * (seed + 3) * 7919) % 251
  return sharp(data, { raw: { width: size, height: size, channels: 3 } })
    [format]()
    .toBuffer()
}
