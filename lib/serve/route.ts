/** Answers the requests of a route; `parameters` are the parameters in its path. */
export type Answer = (request: Request, parameters: Record<string, string>) => Response | Promise<Response>

export interface Route {
  method: 'GET' | 'POST'
  /** The path, with parameters as `:name`. A path has only one method. */
  path: string
  answer: Answer
  /** A public route needs no API key. */
  access?: 'public'
  /** What OpenAPI says about the route, if it is not among those of every server. */
  operation?: object
}
