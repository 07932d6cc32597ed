import { createHash, timingSafeEqual } from 'node:crypto'
import { HttpError } from './errors.js'
import type { CheckedOptions } from './options.js'

/** Sent with every response that does not set them itself. */
export const securityHeaders: Readonly<Record<string, string>> = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

const digest = (text: string) => createHash('sha256').update(text).digest()

/** Makes the check of a request's key, which takes the same time whatever the key is. */
export function keyCheck(apiKeys: readonly string[]): (request: Request) => void {
  const allowed = apiKeys.map(digest)
  return request => {
    if (allowed.length === 0) return
    const bearer = /^Bearer +(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1]
    const key = digest(bearer ?? request.headers.get('x-api-key') ?? '')
    // Every key is compared, whichever fits.
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
 * The CORS headers for a request of a web page, none if it is of the server's own origin or of no page.
 * @throws HttpError 403 for a page of another origin that is not allowed: it could not read the answer, but would cost
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
    'web pages of another origin may not call this server. Allow theirs in the option cors',
  )
}
