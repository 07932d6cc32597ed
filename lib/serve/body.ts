import { abortable } from '../predict/abort.js'
import { printable } from '../util/text.js'
import type { Ticket } from './admission.js'
import { badRequest, HttpError, tooLarge } from './errors.js'

export interface BodyLimits {
  maxBytes: number
  ticket: Ticket
  signal: AbortSignal
}

/** Reads the body of a request, but never more than the limit. */
export async function readBody(request: Request, { maxBytes, ticket, signal }: BodyLimits): Promise<Buffer> {
  const encoding = request.headers.get('content-encoding') ?? 'identity'
  if (encoding !== 'identity')
    throw new HttpError(
      415,
      'ERR_MEDIA_TYPE',
      'expected a body without Content-Encoding. Send it uncompressed',
    )
  const tooLong = () =>
    tooLarge(`expected a body of at most ${maxBytes.toLocaleString('en')} bytes, got more`)
  const length = request.headers.get('content-length')
  if (length !== null) {
    if (Number(length) > maxBytes) throw tooLong()
    ticket.addBytes(Number(length))
    const bytes = Buffer.from(await received(request.arrayBuffer(), signal))
    if (bytes.length > maxBytes) throw tooLong()
    return bytes
  }
  if (request.body === null) return Buffer.alloc(0)
  const reader = request.body.getReader()
  const chunks: Uint8Array[] = []
  let total = 0
  try {
    for (;;) {
      const { done, value } = await received(reader.read(), signal)
      if (done) return Buffer.concat(chunks)
      total += value.length
      if (total > maxBytes) throw tooLong()
      ticket.addBytes(value.length)
      chunks.push(value)
    }
  } catch (error) {
    reader.cancel(error).catch(() => {}) // the connection may be broken already
    throw error
  }
}

/** Waits for what a client sends. If the client breaks off, that is not a failure of the server. */
async function received<T>(sent: Promise<T>, signal: AbortSignal): Promise<T> {
  try {
    return await abortable(sent, signal)
  } catch (error) {
    if (error instanceof HttpError) throw error // the request timed out, or the client is gone
    throw badRequest('expected a complete body, but the connection broke')
  }
}

/** The limit of objects and arrays in a JSON body. Each takes many times the memory of its bracket. */
const MOST_CONTAINERS = 100_000

/**
 * Parses JSON with at most `maxValues` values, because a body of brackets would become objects of many times its size.
 * @throws HttpError 400 or 413
 */
export function parseJson(text: Buffer, maxValues: number): unknown {
  let containers = 0
  let values = 0
  for (const byte of text) {
    if (byte === COMMA) values++
    else if (byte === BRACKET || byte === BRACE) containers++
  }
  if (containers > MOST_CONTAINERS || values + containers > maxValues)
    throw tooLarge(`expected JSON of at most ${maxValues} values, got more`)
  try {
    return JSON.parse(text.toString('utf8'))
  } catch (error) {
    throw badRequest(`expected JSON: ${printable((error as Error).message)}`)
  }
}

const [COMMA, BRACKET, BRACE] = Buffer.from(',[{')

/** Decodes base64 or a `data:` URL. Refuses invalid characters, which Node's decoder would skip. */
export function decodeBase64(name: string, text: string): Buffer {
  const start = text.startsWith('data:') ? text.indexOf(',') + 1 : 0
  if (start > 0 && !text.slice(0, start).endsWith(';base64,'))
    throw badRequest(`${name}: expected a data: URL in base64`)
  let end = text.length
  while (end > start && text.length - end < 2 && text[end - 1] === '=') end--
  const bytes = Buffer.from(text.slice(start), 'base64')
  const count = end - start
  if (count % 4 === 1 || bytes.length !== Math.floor((count * 3) / 4))
    throw badRequest(`${name}: expected the bytes of an image in base64, got other characters`)
  return bytes
}
