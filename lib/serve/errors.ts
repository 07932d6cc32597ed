import { type ErrorCode, VisionTorchError } from '../util/errors.js'

/** The codes of errors that only a server has; other errors keep their {@link ErrorCode}. */
export type HttpErrorCode =
  | 'ERR_BAD_REQUEST'
  | 'ERR_UNAUTHORIZED'
  | 'ERR_FORBIDDEN'
  | 'ERR_NOT_FOUND'
  | 'ERR_METHOD_NOT_ALLOWED'
  | 'ERR_TOO_LARGE'
  | 'ERR_MEDIA_TYPE'
  | 'ERR_BUSY'
  | 'ERR_TIMEOUT'
  | 'ERR_CLIENT_CLOSED'
  | 'ERR_INTERNAL'

/** An error that becomes a response. */
export class HttpError extends Error {
  override readonly name = 'HttpError'

  constructor(
    readonly status: number,
    readonly code: HttpErrorCode | ErrorCode,
    message: string,
    readonly headers: Readonly<Record<string, string>> = {},
    options?: ErrorOptions,
  ) {
    super(message, options)
  }
}

export const badRequest = (message: string) => new HttpError(400, 'ERR_BAD_REQUEST', message)
export const tooLarge = (message: string) => new HttpError(413, 'ERR_TOO_LARGE', message)
export const notFound = (message: string) => new HttpError(404, 'ERR_NOT_FOUND', message)
/** The error for a server that is fully loaded. */
export const busy = (message: string) => new HttpError(429, 'ERR_BUSY', message, { 'retry-after': '1' })

const statuses: Partial<Record<ErrorCode, number>> = {
  ERR_INVALID_ARGUMENT: 400,
  ERR_IMAGE_DECODE: 422,
  ERR_DISPOSED: 503,
  ERR_OUT_OF_MEMORY: 503,
}

/** The response to an error. The cause of a failure of the server itself goes to its log, not to its client. */
export function toHttpError(error: unknown): HttpError {
  if (error instanceof HttpError) return error
  if (!(error instanceof VisionTorchError)) {
    const message = 'the server failed. Its log has the cause, under the id of this request'
    return new HttpError(500, 'ERR_INTERNAL', message, {}, { cause: error })
  }
  const { code, message, options } = error
  const status = options.includes('maxPixels') ? 413 : (statuses[code] ?? 500)
  const headers: Record<string, string> = status === 503 ? { 'retry-after': '1' } : {}
  return new HttpError(status, code, message, headers, { cause: error })
}
