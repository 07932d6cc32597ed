import { randomUUID } from 'node:crypto'
import { corsHeaders, keyCheck, securityHeaders } from './access.js'
import { Deadline } from './deadline.js'
import { HttpError, notFound, toHttpError } from './errors.js'
import { describeModels } from './model-card.js'
import type { Lease } from './models.js'
import {
  inferRoute,
  loadRoute,
  modelMetadata,
  repositoryIndex,
  serverMetadata,
  useModel,
} from './open-inference.js'
import { openApi } from './openapi.js'
import { pageFile } from './page-files.js'
import { predictRoute } from './predict.js'
import type { Route } from './route.js'
import { type Service, startMetrics } from './service.js'

/** The routes of a server. */
export async function createApp(service: Service): Promise<(request: Request) => Promise<Response>> {
  const { Hono } = await import('./libraries.js')
  const metrics = await startMetrics(service)
  const { options } = service
  const checkKey = keyCheck(options.apiKeys)
  const app = new Hono({ strict: false }).basePath(options.basePath)
  /** The route of each request, for the metrics. Paths would create a separate metric for every wrong path. */
  const routes = new WeakMap<Request, string>()

  const route = (
    method: Route['method'],
    path: string,
    answer: Route['answer'],
    access?: Route['access'],
  ): void => add({ method, path, answer, ...(access && { access }) })

  function add({ method, path, answer, access }: Route): void {
    app.on(method, path, context => {
      const { raw } = context.req
      routes.set(raw, path)
      if (access !== 'public') checkKey(raw)
      return answer(raw, context.req.param() as Record<string, string>)
    })
    app.all(path, ({ req: { raw } }) => {
      routes.set(raw, path)
      throw new HttpError(405, 'ERR_METHOD_NOT_ALLOWED', `expected ${method}`, { allow: method })
    })
  }

  route('POST', '/predict', async request => {
    using deadline = new Deadline(request.signal, options.timeout)
    return await predictRoute(request, service, deadline.signal)
  })
  route('GET', '/models', () =>
    Response.json({ models: describeModels(service), canTrain: service.trainingRoutes.length > 0 }),
  )
  route('GET', '/openapi.json', () => Response.json(openApi(options, service.trainingRoutes)))
  route('GET', '/metrics', async () => {
    const { body, contentType } = await metrics.text()
    return new Response(body, { headers: { 'content-type': contentType } })
  })
  const health = (isOk: () => boolean) => () => new Response(null, { status: isOk() ? 200 : 503 })
  route(
    'GET',
    '/v2/health/live',
    health(() => true),
    'public',
  )
  route(
    'GET',
    '/v2/health/ready',
    health(() => service.isReady),
    'public',
  )
  route('GET', '/v2', () => Response.json(serverMetadata()))
  route('POST', '/v2/repository/index', () => Response.json(repositoryIndex(service)))
  route('POST', '/v2/repository/models/:name/load', (_, parameters) => loadRoute(parameters, service))
  for (const path of ['/v2/models/:name', '/v2/models/:name/versions/:version']) {
    const withModel =
      (answer: (lease: Lease) => Response) => (_: Request, parameters: Record<string, string>) => {
        using lease = useModel(service, parameters)
        return answer(lease)
      }
    route(
      'GET',
      path,
      withModel(lease => Response.json(modelMetadata(lease))),
    )
    route(
      'GET',
      `${path}/ready`,
      withModel(() => new Response(null, { status: service.isReady ? 200 : 503 })),
    )
    route('POST', `${path}/infer`, async (request, parameters) => {
      using deadline = new Deadline(request.signal, options.timeout)
      return await inferRoute(request, parameters, service, deadline.signal)
    })
  }
  if (options.page) {
    route('GET', '/', () => pageFile('html'), 'public')
    route('GET', '/page.css', () => pageFile('css'), 'public')
    route('GET', '/page.js', () => pageFile('js'), 'public')
  }
  for (const trainingRoute of service.trainingRoutes) add(trainingRoute)
  app.notFound(() => {
    throw notFound('there is nothing at this path. GET /openapi.json lists the routes')
  })
  app.onError(error => {
    throw error // answer() turns it into a response
  })

  /** The body of an error, which is a string in the protocol v2. */
  const errorBody = (path: string, error: HttpError, id: string) =>
    path.startsWith(`${options.basePath}/v2/`)
      ? { error: error.message, code: error.code }
      : { error: { code: error.code, message: error.message, requestId: id } }

  async function answer(request: Request, path: string, id: string): Promise<Response> {
    let headers: Record<string, string> = {}
    let response: Response
    try {
      headers = corsHeaders(request, options)
      const isPreflight = request.method === 'OPTIONS' && headers['access-control-allow-origin'] !== undefined
      response = isPreflight ? new Response(null, { status: 204 }) : await app.fetch(request)
    } catch (error) {
      const failure = toHttpError(error)
      const { status, code, message } = failure
      metrics.failed(code)
      if (status >= 500) options.logger?.error({ requestId: id, err: failure.cause ?? failure }, message)
      response = Response.json(errorBody(path, failure, id), { status, headers: failure.headers })
    }
    const common = { ...securityHeaders, ...headers, 'x-request-id': id }
    for (const [name, value] of Object.entries(common))
      if (!response.headers.has(name)) response.headers.set(name, value)
    return response
  }

  return async request => {
    const given = request.headers.get('x-request-id') ?? ''
    const id = /^[\w.:-]{1,128}$/.test(given) ? given : randomUUID()
    const start = performance.now()
    const path = new URL(request.url).pathname
    const { method } = request
    service.active++
    try {
      const response = await answer(request, path, id)
      const milliseconds = performance.now() - start
      const { status } = response
      metrics.responded(routes.get(request) ?? 'none', method, status, milliseconds / 1000)
      const rounded = Math.round(10 * milliseconds) / 10
      options.logger?.info({ requestId: id, method, path, status, milliseconds: rounded }, 'request')
      return response
    } finally {
      service.active--
    }
  }
}
