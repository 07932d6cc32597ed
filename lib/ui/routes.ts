import { readFile } from 'node:fs/promises'
import type { Dataset } from '../data/dataset.js'
import { listArchitectures } from '../model/architectures.js'
import { parseJson, readBody } from '../serve/body.js'
import { badRequest, notFound } from '../serve/errors.js'
import { failures, json, response } from '../serve/openapi.js'
import type { Route } from '../serve/route.js'
import type { Service } from '../serve/service.js'
import { is } from '../util/is.js'
import type { RunEvent, RunOptions, Trainer } from './trainer.js'

/** The size limit of a request that starts a run. */
const MOST_BODY_BYTES = 10_000

/** The policy for reports. Their own policy is stricter, and allows their script and style sheet by their hashes. */
const reportPolicy =
  "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/** The routes that the page uses for training. */
export const trainingRoutes = (trainer: Trainer, dataset: Dataset, service: Service): Route[] => [
  {
    method: 'GET',
    path: '/training',
    operation: {
      operationId: 'training',
      summary: 'The data set, and the networks that can be trained on it',
      responses: { 200: response('The data set', json({ type: 'object' })), ...failures(401) },
    },
    answer: () => Response.json(describe(dataset)),
  },
  {
    method: 'GET',
    path: '/training/events',
    operation: {
      operationId: 'trainingEvents',
      summary: 'The events of the latest run so far, and all that follow',
      responses: {
        200: response('Server-sent events', { 'text/event-stream': { schema: { type: 'string' } } }),
        ...failures(401),
      },
    },
    answer: () => eventStream(trainer),
  },
  {
    method: 'POST',
    path: '/training/start',
    operation: {
      operationId: 'startTraining',
      summary: 'Starts a run',
      requestBody: { required: true, content: json(runSchema()) },
      responses: { 202: response('The run has started'), ...failures(400, 401, 409, 413) },
    },
    async answer(request) {
      using ticket = service.admission.admit()
      const { signal } = request
      const body = await readBody(request, { maxBytes: MOST_BODY_BYTES, ticket, signal })
      const options = parseJson(body, 100)
      if (!is.object(options)) throw badRequest('expected a JSON object with model and weights')
      trainer.start(options as unknown as RunOptions)
      return new Response(null, { status: 202 })
    },
  },
  {
    method: 'POST',
    path: '/training/stop',
    operation: {
      operationId: 'stopTraining',
      summary: 'Stops the run, if there is one, and saves it',
      responses: { 204: response('No run is under way'), ...failures(401) },
    },
    async answer() {
      await trainer.stop()
      return new Response(null, { status: 204 })
    },
  },
  {
    // A link cannot send a key. The run's identifier cannot be guessed, so whoever knows it has received it with a key.
    method: 'GET',
    path: '/training/:run/report',
    access: 'public',
    operation: {
      operationId: 'report',
      summary: 'The report of a run that has ended',
      responses: {
        200: response('The report', { 'text/html': { schema: { type: 'string' } } }),
        ...failures(404),
      },
    },
    async answer(_, { run }) {
      const path = trainer.reportOf(run!)
      if (path === undefined) throw notFound('there is no report of this run')
      return new Response(await readFile(path), {
        headers: { 'content-type': 'text/html; charset=utf-8', 'content-security-policy': reportPolicy },
      })
    },
  },
]

/** The body of a request that starts a run. docs/serving.md describes the options. */
const runSchema = () => ({
  type: 'object',
  required: ['model', 'weights'],
  additionalProperties: false,
  properties: {
    model: { type: 'string', enum: listArchitectures() },
    weights: { type: 'string', enum: ['DEFAULT', 'none'] },
    epochs: { type: 'integer', minimum: 1 },
    batchSize: { type: 'integer', minimum: 1 },
    learningRate: { type: 'number', exclusiveMinimum: 0 },
    inputSize: {
      anyOf: [
        { type: 'integer', minimum: 1 },
        { type: 'array', minItems: 2, maxItems: 2, items: { type: 'integer', minimum: 1 } },
      ],
      description: 'A side of the square, or [height, width], in pixels',
    },
  },
})

const describe = ({ root, source, classes, splits }: Dataset) => ({
  data: source ?? root,
  classes,
  images: Object.fromEntries([...splits].map(([name, samples]) => [name, samples.length])),
  networks: listArchitectures(),
})

/** How many events a page may lag behind before its connection is closed, so that it connects again. */
const MOST_BEHIND = 10_000

/** Sends the events of the latest run and of all that follow as server-sent events. */
function eventStream(trainer: Trainer): Response {
  const encoder = new TextEncoder()
  let leave = () => {}
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      const send = (event: RunEvent) => {
        controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\n\n`))
        if ((controller.desiredSize ?? 0) > -MOST_BEHIND) return
        leave()
        controller.close()
      }
      controller.enqueue(encoder.encode(':\n\n')) // so that the page sees the response at once
      leave = trainer.listen(send, () => controller.close())
    },
    cancel: () => leave(),
  })
  return new Response(stream, { headers: { 'content-type': 'text/event-stream' } })
}
