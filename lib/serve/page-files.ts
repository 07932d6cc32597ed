import { readFile } from 'node:fs/promises'
import { pageFiles } from '../util/package.js'

/** The page contains nothing secret, so it needs no key. It asks for one before it calls the other routes. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  'img-src blob: data:',
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** A file of the page at `/`. */
export async function pageFile(name: 'html' | 'css' | 'js'): Promise<Response> {
  const types = { html: 'text/html', css: 'text/css', js: 'text/javascript' }
  return new Response(await readFile(pageFiles()[name]), {
    headers: {
      'content-type': `${types[name]}; charset=utf-8`,
      'content-security-policy': policy,
      'cache-control': 'no-cache',
      'permissions-policy': 'camera=(self), microphone=(), geolocation=()',
    },
  })
}
