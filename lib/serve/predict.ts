import { predict, predictEach } from '../model/predict.js'
import type { Prediction } from '../predict/predict.js'
import { closest, is, show } from '../util/is.js'
import { printable } from '../util/text.js'
import type { Ticket } from './admission.js'
import { decodeBase64, parseJson, readBody } from './body.js'
import { badRequest, HttpError, toHttpError, tooLarge } from './errors.js'
import type { CheckedOptions } from './options.js'
import type { Service } from './service.js'

/** The result of POST /predict for one image. */
export interface ImageResult {
  /** The file name that the client sent, if any. */
  file?: string
  predictions?: Prediction[]
  error?: { code: string; message: string }
}

/** POST /predict: the body is an image, a form with files, or JSON with base64. */
export async function predictRoute(
  request: Request,
  service: Service,
  signal: AbortSignal,
): Promise<Response> {
  const { models, options, admission } = service
  using ticket = admission.admit()
  const query = new URL(request.url).searchParams
  const { images, fields, isList } = await readImages(request, options, ticket, signal)
  const { topK, minScore, model: name } = checkFields([...query, ...fields])
  ticket.addImages(images.length - 1)
  using lease = models.use(name)
  const { batchSize, maxPixels, allowUntrained } = options
  const predictOptions = { topK, batchSize, maxPixels, allowUntrained, signal }
  const likely = (predictions: Prediction[]) => predictions.filter(({ score }) => score >= minScore)
  const about = { model: lease.name, version: lease.version }
  const inputs = images.map(({ bytes }) => bytes)
  if (!isList) {
    const predictions = likely(await predict(lease.model, inputs[0]!, predictOptions))
    return Response.json({ ...about, predictions })
  }
  const results: ImageResult[] = []
  const failures: HttpError[] = []
  for await (const { index, predictions, error } of predictEach(lease.model, inputs, predictOptions)) {
    const { file } = images[index]!
    const named = file === undefined ? {} : { file }
    if (error === undefined) results.push({ ...named, predictions: likely(predictions) })
    else {
      const { code, message } = error
      service.metrics?.failed(code)
      failures.push(toHttpError(error))
      results.push({ ...named, error: { code, message } })
    }
  }
  if (failures.length < images.length) return Response.json({ ...about, results })
  const { status, code, message } = failures[0]!
  return Response.json({ ...about, error: { code, message }, results }, { status })
}

interface SentImages {
  images: { file?: string; bytes: Uint8Array }[]
  fields: [string, unknown][]
  /** Whether the response is a list of results, as for a form and for `images`. */
  isList: boolean
}

async function readImages(
  request: Request,
  { maxBodyBytes, maxFiles }: CheckedOptions,
  ticket: Ticket,
  signal: AbortSignal,
): Promise<SentImages> {
  const type = request.headers.get('content-type') ?? 'application/octet-stream'
  const [kind] = type
    .toLowerCase()
    .split(';', 1)
    .map(text => text.trim()) as [string]
  const isForm = kind === 'multipart/form-data'
  const isJson = kind === 'application/json'
  if (!isForm && !isJson && kind !== 'application/octet-stream' && !kind.startsWith('image/')) {
    throw new HttpError(
      415,
      'ERR_MEDIA_TYPE',
      `expected Content-Type image/*, multipart/form-data or application/json, got '${printable(kind, 100)}'`,
    )
  }
  const body = await readBody(request, { maxBytes: maxBodyBytes, ticket, signal })
  const sent = isForm ? await fromForm(body, type, maxFiles) : isJson ? fromJson(body) : fromBytes(body)
  if (sent.images.length === 0) throw badRequest('expected at least one image, got none')
  if (sent.images.length > maxFiles)
    throw tooLarge(
      `expected at most ${maxFiles} images, got ${sent.images.length}. Send them in several requests`,
    )
  return sent
}

function fromBytes(body: Buffer): SentImages {
  if (body.length === 0) throw badRequest('expected an image as the body, got an empty body')
  return { images: [{ bytes: body }], fields: [], isList: false }
}

/** The size limit of the fields of a form, in addition to its files. */
const MOST_FIELDS = 16
/** The size limit of the headers of a part. */
const MOST_HEADER_BYTES = 4096

async function fromForm(body: Buffer, type: string, maxFiles: number): Promise<SentImages> {
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i
    .exec(type)
    ?.slice(1)
    .find(text => text !== undefined)
  if (boundary === undefined) throw badRequest('expected multipart/form-data with a boundary, got none')
  const { MaxPartsExceededError, parseMultipart } = await import('./libraries.js')
  const images: SentImages['images'] = []
  const fields: [string, unknown][] = []
  try {
    const limits = {
      maxHeaderSize: MOST_HEADER_BYTES,
      maxParts: maxFiles + MOST_FIELDS,
      maxFileSize: body.length,
      maxTotalSize: body.length,
    }
    for (const part of parseMultipart(body, { boundary, ...limits })) {
      const { name = '', filename } = part
      if (!part.isFile) fields.push([name, part.text])
      // `part.bytes` would be a copy.
      else
        images.push({
          bytes: part.content[0] ?? part.bytes,
          ...(filename !== undefined && { file: unescapeName(filename) }),
        })
    }
  } catch (error) {
    if (error instanceof MaxPartsExceededError) throw tooLarge(`expected at most ${maxFiles} files, got more`)
    throw badRequest(`expected multipart/form-data: ${printable((error as Error).message)}`)
  }
  return { images, fields, isList: true }
}

/** Browsers escape a quote and the ends of lines in the name of a file. */
const unescapeName = (name: string): string =>
  name.replace(/%(22|0A|0D)/gi, (_, code) => String.fromCharCode(Number.parseInt(code, 16)))

function fromJson(body: Buffer): SentImages {
  const value = parseJson(body, 10_000)
  if (!is.object(value)) throw badRequest(`expected a JSON object with image or images, got ${show(value)}`)
  const { image, images, ...fields } = value
  const isList = images !== undefined
  if (isList === (image !== undefined))
    throw badRequest('expected either image, an image in base64, or images, an array of them')
  if (isList && !Array.isArray(images)) throw badRequest(`images: expected an array, got ${show(images)}`)
  const list = isList ? (images as unknown[]) : [image]
  const decoded = list.map((text, index) => {
    const name = isList ? `images[${index}]` : 'image'
    if (typeof text !== 'string') throw badRequest(`${name}: expected a string in base64, got ${show(text)}`)
    return { bytes: decodeBase64(name, text) }
  })
  return { images: decoded, fields: Object.entries(fields), isList }
}

const known = ['topK', 'minScore', 'model']

/** Checks the fields of a request, which are text in a query or a form. */
function checkFields(fields: readonly (readonly [string, unknown])[]) {
  const checked: { topK: number; minScore: number; model: string | undefined } = {
    topK: 5,
    minScore: 0,
    model: undefined,
  }
  for (const [name, value] of fields) {
    if (!known.includes(name)) {
      const near = closest(name.slice(0, 40), known)
      const hint = near === undefined ? '' : `. Did you mean '${near}'?`
      throw badRequest(`unknown field '${printable(name, 40)}'${hint}`)
    }
    const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value
    if (name === 'model') {
      if (!is.string(value)) throw badRequest(`model: expected a name, got ${show(value)}`)
      checked.model = value
    } else if (name === 'topK') {
      if (!is.integer(number) || number < 1)
        throw badRequest(`topK: expected an integer of at least 1, got ${show(value)}`)
      checked.topK = number
    } else {
      if (!is.number(number) || number < 0 || number > 1)
        throw badRequest(`minScore: expected a number from 0 to 1, got ${show(value)}`)
      checked.minScore = number
    }
  }
  return checked
}
