import { VisionTorchError } from '../util/errors.js'
import { cannotWrite } from '../util/files.js'

/** The failure of one attempt; `retry` says whether another attempt may succeed. */
export interface Failure {
  error: VisionTorchError
  retry: boolean
}

/** The progress of a download when it failed. */
export interface Position {
  received: number
  total: number | null
}

const fileCodes = new Set(['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR', 'EISDIR'])

/** Explains the failure of an attempt by its cause, with a remedy. */
export function explain(cause: unknown, url: string, path: string, at: Position, remedy: string): Failure {
  const { host } = new URL(url)
  const code = codeOf(cause)
  if (fileCodes.has(code)) return { error: cannotWrite(path, cause), retry: false }
  const download = (message: string, retry: boolean): Failure => ({
    error: new VisionTorchError('ERR_DOWNLOAD', `${url}: ${message}`, { cause }),
    retry,
  })
  const or = remedy === '' ? '' : `, or ${remedy}`
  const far = `after ${at.received} of ${at.total ?? 'an unknown number of'} bytes`
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return download(
        `the host name ${host} cannot be resolved (DNS, ${code}). Check the network${or}`,
        false,
      )
    case 'ECONNREFUSED':
      return download(`${host} refused the connection. Check the URL and the proxy${or}`, false)
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'ETIMEDOUT':
    case 'UND_ERR_CONNECT_TIMEOUT':
      return download(`${host} cannot be reached (${code}). Check the network and the proxy${or}`, false)
    case 'UND_ERR_HEADERS_TIMEOUT':
      return download(`${host} does not answer. Check the proxy, or try again later${or}`, at.received > 0)
    case 'UND_ERR_BODY_TIMEOUT':
      return download(
        `the connection stalled: no more data came ${far}. Run it again to continue from there`,
        true,
      )
    case 'ECONNRESET':
    case 'EPIPE':
    case 'UND_ERR_SOCKET':
    case 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH':
    case TRUNCATED:
      return download(`the connection was cut ${far}. Run it again to continue from there`, true)
  }
  if (/CERT|SIGNATURE|^ERR_TLS|^ERR_SSL|SELF_SIGNED/.test(code)) {
    return download(
      `the certificate of ${host} is not trusted (${code}). Behind a proxy that reads TLS, set NODE_EXTRA_CA_CERTS to its certificate${or}`,
      false,
    )
  }
  return download(`failed ${far}: ${cause instanceof Error ? cause.message : cause} (${code})${or}`, false)
}

/** The failure of a response that is not the file. */
export function statusFailure(url: string, status: number, text: string, remedy: string): Failure {
  const meaning =
    status === 404 || status === 410
      ? 'there is no such file. Check the URL'
      : status === 401 || status === 403
        ? 'access is denied. Check the URL and the proxy'
        : status === 407
          ? 'the proxy requires a password. Put it into HTTPS_PROXY'
          : status === 429 || status >= 500
            ? 'the server has a problem. Try again later'
            : 'expected a file. Check the URL'
  const or = remedy === '' ? '' : `, or ${remedy}`
  const message = `${url}: HTTP status ${status}${text === '' ? '' : ` (${text})`}: ${meaning}${or}`
  return { error: new VisionTorchError('ERR_DOWNLOAD', message), retry: status === 429 || status >= 500 }
}

/** The code of a body that ended before its announced length. */
export const TRUNCATED = 'TRUNCATED'

/** fetch wraps the cause ("fetch failed"), and Node tries several addresses (an AggregateError). */
function codeOf(error: unknown): string {
  for (let at = error, depth = 0; at instanceof Error && depth < 5; depth++) {
    const { code } = at as NodeJS.ErrnoException
    if (typeof code === 'string') return code
    at = at instanceof AggregateError ? at.errors[0] : at.cause
  }
  return 'no code'
}
