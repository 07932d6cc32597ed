import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Model } from '../model/model.js'
import { invalid } from '../util/is.js'
import { createApp } from './app.js'
import { modelsByName, ServedModels } from './models.js'
import type { HandlerOptions } from './options.js'
import { createService } from './service.js'

/** Answers an HTTP request. Its types are those of the web standard, which Hono, Next, SvelteKit, Bun and Deno use. */
export type Handler = (request: Request) => Promise<Response>

/**
 * Serves predictions over HTTP, in the framework of your choice. docs/serving.md describes the routes and shows how to
 * mount the handler; `visiontorch serve` is this handler with a server around it.
 *
 * ```ts
 * const handler = createHandler(await loadModel('best.pth'))
 * http.createServer(toNodeListener(handler)).listen(8080)
 * ```
 *
 * Requests share batches. A request never makes the handler read a path or a URL. It answers every request, and never
 * rejects.
 *
 * @param models A model, or several by name. They must not be disposed while the handler is in use.
 * @throws VisionTorchError `ERR_INVALID_ARGUMENT`
 */
export function createHandler(
  models: Model | Readonly<Record<string, Model>>,
  options: HandlerOptions = {},
): Handler {
  const service = createService(new ServedModels(modelsByName(models)), options)
  let app: Promise<Handler> | undefined
  return async request => {
    app ??= createApp(service)
    return (await app)(request)
  }
}

/**
 * Converts the handler for `http.createServer`, Express (`app.use('/vision', listener)`) and Fastify. No other middleware may
 * read the body of the request first.
 */
export function toNodeListener(
  handler: Handler,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  if (typeof handler !== 'function')
    throw invalid('handler', 'a function, such as the result of createHandler', handler)
  let listener: ((request: IncomingMessage, response: ServerResponse) => Promise<void>) | undefined
  return async (request, response) => {
    if (listener === undefined) {
      const { getRequestListener } = await import('./libraries.js')
      listener ??= getRequestListener(handler, { overrideGlobalObjects: false })
    }
    await listener(request, response)
  }
}
