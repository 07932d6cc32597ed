/** The stable codes of {@link VisionTorchError}. */
export type ErrorCode =
  | 'ERR_INVALID_ARGUMENT'
  | 'ERR_LIBTORCH_NOT_FOUND'
  | 'ERR_LIBTORCH_VERSION'
  | 'ERR_LIBTORCH'
  | 'ERR_ADDON_NOT_FOUND'
  | 'ERR_CHECKPOINT_CORRUPT'
  | 'ERR_CHECKPOINT_UNSAFE'
  | 'ERR_CHECKPOINT_UNSUPPORTED'
  | 'ERR_CHECKPOINT_MISMATCH'
  | 'ERR_DOWNLOAD'
  | 'ERR_DOWNLOAD_HASH'
  | 'ERR_FILE_NOT_FOUND'
  | 'ERR_FILE_READ'
  | 'ERR_FILE_WRITE'
  | 'ERR_IMAGE_DECODE'
  | 'ERR_DATASET'
  | 'ERR_DEVICE'
  | 'ERR_OUT_OF_MEMORY'
  | 'ERR_NON_FINITE'
  | 'ERR_NON_FINITE_LOSS'
  | 'ERR_UNTRAINED'
  | 'ERR_DISPOSED'
  | 'ERR_DISTRIBUTED'
  | 'ERR_INTERNAL'

/** What a {@link VisionTorchError} holds besides its code and message. */
export interface VisionTorchErrorDetails extends ErrorOptions {
  /** See {@link VisionTorchError.options}. */
  options?: readonly string[]
}

const brand = Symbol.for('visiontorch.error')

/**
 * Every error that visiontorch throws, except for the `AbortError` of an aborted signal. The message says what was
 * expected, what came and what to do; `code` is stable and meant for programs.
 */
export class VisionTorchError extends Error {
  override readonly name = 'VisionTorchError'
  readonly code: ErrorCode
  /**
   * The options that the message names, as a program spells them. The command line shows their flags instead. For an
   * invalid argument, they include at least the one with which the message begins, even if the addon threw the error.
   */
  readonly options: readonly string[]

  /**
   * Also true for errors of another copy of visiontorch in this process, because copies share the addon and its
   * errors.
   */
  static override [Symbol.hasInstance](value: unknown): boolean {
    // biome-ignore lint/complexity/noThisInStatic: subclasses inherit this function
    const self: unknown = this
    if (self === VisionTorchError) return value instanceof Error && brand in value
    return Function.prototype[Symbol.hasInstance].call(self, value)
  }

  constructor(code: ErrorCode, message: string, details?: VisionTorchErrorDetails) {
    super(message, details)
    Object.defineProperty(this, brand, { value: true })
    this.code = code
    this.options = details?.options?.length
      ? details.options
      : code === 'ERR_INVALID_ARGUMENT'
        ? subject(message)
        : []
  }
}

/** `batchSize: expected ...` -> `batchSize`. */
const subject = (message: string): string[] =>
  /^[a-z]\w*(?=(?:[.[][\w.[\]]*)?: )/.exec(message)?.slice() ?? []
