import { predict, predictEach } from '../model/predict.js'
import type { Prediction } from '../predict/predict.js'
import { closest, is, show } from '../util/is.js'
import { printable } from '../util/text.js'
import type { Ticket } from './admission.js'
import { decodeBase64, parseJson, readBody } from './body.js'
import { badRequest, HttpError, toHttpError, tooLarge } from './errors.js'
import type { CheckedOptions } from './options.js'
import type { Service } from './service.js'

/** What POST /predict answers for one image. */
export interface ImageResult {
  /** The name that the file was sent with, if it had one. */
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
  /** Whether the answer is a list of results, which a form and `images` ask for. */
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
  if (body.length === 0) throw badRequest('expected an image as the body, got nothing')
  return { images: [{ bytes: body }], fields: [], isList: false }
}

/** Room for the fields beside the files. */
const MOST_FIELDS = 16
/** Of the headers of a part. */
const MOST_HEADER_BYTES = 4096

async function fromForm(body: Buffer, type: string, maxFiles: number): Promise<SentImages> {
  const boundary = /;\s*boundary=(?:"([^"]+)"|([^\s;]+))/i
    .exec(type)
    ?.slice(1)
    .find(text => text !== undefined)
  if (boundary === undefined) throw badRequest('expected multipart/form-data with a boundary, got none')
  checkParts(body, boundary, maxFiles)
  let form: FormData
  try {
    form = await new Response(body, { headers: { 'content-type': type } }).formData()
  } catch {
    throw badRequest('expected multipart/form-data, got a body that is cut off or not of this form')
  }
  const images: SentImages['images'] = []
  const fields: [string, unknown][] = []
  for (const [name, value] of form) {
    if (typeof value === 'string') fields.push([name, value])
    else images.push({ file: value.name, bytes: new Uint8Array(await value.arrayBuffer()) })
  }
  return { images, fields, isList: true }
}

/** Refuses what the platform's parser would take seconds or much memory for: many parts, or headers without end. */
function checkParts(body: Buffer, boundary: string, maxFiles: number): void {
  const delimiter = `--${boundary}`
  let parts = 0
  for (let at = body.indexOf(delimiter); at >= 0; at = body.indexOf(delimiter, at)) {
    if (++parts > maxFiles + MOST_FIELDS + 1) throw tooLarge(`expected at most ${maxFiles} files, got more`)
    at += delimiter.length
    if (body.toString('latin1', at, at + 2) === '--') return
    if (!body.subarray(at, at + MOST_HEADER_BYTES).includes('\r\n\r\n'))
      throw badRequest(`expected parts with headers of at most ${MOST_HEADER_BYTES} bytes, got more`)
  }
}

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

/** The fields of a request, which come as text in a query and a form. */
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
