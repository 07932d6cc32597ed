/** Answers the requests of a route; `parameters` are those of its path. */
export type Answer = (request: Request, parameters: Record<string, string>) => Response | Promise<Response>

export interface Route {
  method: 'GET' | 'POST'
  /** With parameters as `:name`. A path has one method. */
  path: string
  answer: Answer
  /** A public route needs no API key. */
  access?: 'public'
}
