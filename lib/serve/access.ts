import { createHash, timingSafeEqual } from 'node:crypto'
import { HttpError } from './errors.js'
import type { CheckedOptions } from './options.js'

/** Headers for every response that does not set them itself. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Creates the check of a request's key. It takes the same time whatever the key is. */
export function keyCheck(apiKeys: readonly string[]): (request: Request) => void {
  const allowed = apiKeys.map(digest)
  return request => {
    if (allowed.length === 0) return
    const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
    const key = digest(bearer ?? request.headers.get('x-api-key') ?? '')
    // Compare with all keys, even after one matches.
    if (allowed.filter(other => timingSafeEqual(other, key)).length > 0) return
    throw new HttpError(
      401,
      'ERR_UNAUTHORIZED',
      'expected an API key, as Authorization: Bearer KEY or X-API-Key: KEY',
      { 'www-authenticate': 'Bearer' },
    )
  }
}

/**
 * The CORS headers for a request from a web page, or none if the page has the server's own origin or there is no page.
 * @throws HttpError 403 for a page of another origin that is not allowed: it could not read the response, but would cause
 * the work.
 */
export function corsHeaders(request: Request, { cors }: CheckedOptions): Record<string, string> {
  const origin = request.headers.get('origin')
  if (origin === null) return {}
  const isAllowed = cors.includes('*') || cors.includes(origin)
  if (isAllowed) {
    return {
      'access-control-allow-origin': cors.includes('*') ? '*' : origin,
      'access-control-expose-headers': 'x-request-id, retry-after',
      'cross-origin-resource-policy': 'cross-origin',
      ...(request.method === 'OPTIONS' && {
        'access-control-allow-methods': 'GET, POST',
        'access-control-allow-headers': 'authorization, content-type, x-api-key, x-request-id',
        'access-control-max-age': '86400',
      }),
      vary: 'Origin',
    }
  }
  const host = request.headers.get('host') ?? new URL(request.url).host
  if (URL.canParse(origin) && new URL(origin).host === host) return {}
  throw new HttpError(
    403,
    'ERR_FORBIDDEN',
    'web pages of another origin may not call this server. Allow their origin in the option cors',
  )
}
