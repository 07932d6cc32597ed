import { randomUUID } from 'node:crypto'
import { corsHeaders, keyCheck, securityHeaders } from './access.js'
import { Admission } from './admission.js'
import { Deadline } from './deadline.js'
import { HttpError, notFound, toHttpError } from './errors.js'
import type { ServedModels } from './models.js'
import type { CheckedOptions } from './options.js'
import { predictRoute } from './predict.js'

/** The routes of a server. */
export async function createApp(
  models: ServedModels,
  options: CheckedOptions,
): Promise<(request: Request) => Promise<Response>> {
  const { Hono } = await import('./libraries.js')
  const service = { models, options, admission: new Admission(options.maxQueue, options.maxBodyBytes) }
  const checkKey = keyCheck(options.apiKeys)
  const app = new Hono().basePath(options.basePath)

  app.post('/predict', async ({ req: { raw } }) => {
    checkKey(raw)
    using deadline = new Deadline(raw.signal, options.timeout)
    return await predictRoute(raw, service, deadline.signal)
  })
  app.all('/predict', () => {
    throw new HttpError(405, 'ERR_METHOD_NOT_ALLOWED', 'expected POST', { allow: 'POST' })
  })
  app.notFound(() => {
    throw notFound('there is nothing at this path')
  })
  app.onError(error => {
    throw error // answer() says it
  })

  async function answer(request: Request, id: string): Promise<Response> {
    let headers: Record<string, string> = {}
    let response: Response
    try {
      headers = corsHeaders(request, options)
      const isPreflight = request.method === 'OPTIONS' && headers['access-control-allow-origin'] !== undefined
      response = isPreflight ? new Response(null, { status: 204 }) : await app.fetch(request)
    } catch (error) {
      const failure = toHttpError(error)
      const { status, code, message } = failure
      if (status >= 500) options.logger?.error({ requestId: id, err: failure.cause ?? failure }, message)
      response = Response.json(
        { error: { code, message, requestId: id } },
        { status, headers: failure.headers },
      )
    }
    for (const [name, value] of Object.entries({ ...securityHeaders, ...headers, 'x-request-id': id }))
      if (!response.headers.has(name)) response.headers.set(name, value)
    return response
  }

  return async request => {
    const given = request.headers.get('x-request-id') ?? ''
    const id = /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()
    const start = performance.now()
    const response = await answer(request, id)
    const { method, url } = request
    const milliseconds = Math.round(10 * (performance.now() - start)) / 10
    options.logger?.info(
      { requestId: id, method, path: new URL(url).pathname, status: response.status, milliseconds },
      'request',
    )
    return response
  }
}
