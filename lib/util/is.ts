import { VisionTorchError } from './errors.js'

// Argument checks. Arguments are validated once, where they enter, with errors that name the argument, what was
// expected and what came.

/** A short text for a value in an error message. Never throws. */
export function show(value: unknown): string {
  if (typeof value === 'string') return `'${value.length > 60 ? `${value.slice(0, 57)}...` : value}'`
  if (typeof value === 'function') return 'a function'
  if (Array.isArray(value)) return `an array of ${value.length}`
  if (typeof value === 'object' && value !== null) {
    return `${value.constructor?.name ?? 'an object without a prototype'}`
  }
  return String(value)
}

export function invalid(name: string, expected: string, got: unknown): VisionTorchError {
  return refuse(`${name}: expected ${expected}, got ${show(got)}`, ...optionOf(name))
}

/** The error for invalid arguments; `options` lists the ones that the message names. */
export function refuse(message: string, ...options: string[]): VisionTorchError {
  return new VisionTorchError('ERR_INVALID_ARGUMENT', message, { options })
}

/** `optimizer.betas[0]` -> `optimizer`; nothing for a path. */
const optionOf = (name: string): string[] => /^\w+(?=$|[.[])/.exec(name)?.slice() ?? []

export const is = {
  string: (value: unknown): value is string => typeof value === 'string' && value.length > 0,
  object: (value: unknown): value is Record<string, unknown> =>
    typeof value === 'object' && value !== null && !Array.isArray(value),
  number: (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value),
  integer: (value: unknown): value is number => Number.isSafeInteger(value),
}

export const check = {
  /** An integer in [min, max]. */
  integer(name: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): number {
    if (is.integer(value) && value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
    throw invalid(name, `an integer ${range}`, value)
  },
  /** A finite number in [min, max]. */
  number(name: string, value: unknown, min = -Infinity, max = Infinity): number {
    if (is.number(value) && value >= min && value <= max) return value
    const range = min === -Infinity ? '' : max === Infinity ? ` of at least ${min}` : ` from ${min} to ${max}`
    throw invalid(name, `a number${range}`, value)
  },
  boolean(name: string, value: unknown): boolean {
    if (typeof value === 'boolean') return value
    throw invalid(name, 'true or false', value)
  },
  string(name: string, value: unknown): string {
    if (is.string(value)) return value
    throw invalid(name, 'a non-empty string', value)
  },
  oneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
    if (choices.includes(value as T)) return value as T
    const near = typeof value === 'string' ? closest(value, choices) : undefined
    const hint = near === undefined ? '' : `. Did you mean '${near}'?`
    throw refuse(
      `${name}: expected one of ${choices.join(', ')}, got ${show(value)}${hint}`,
      ...optionOf(name),
    )
  },
  /**
   * Checks that an options object has no unknown keys, so that a misspelt option is not ignored. Also checks `signal` and
   * `onProgress`, which mean the same everywhere.
   */
  options(name: string, value: unknown, known: readonly string[]): void {
    if (value === undefined) return
    if (!is.object(value)) throw invalid(name, 'an object', value)
    const { signal, onProgress } = value
    if (known.includes('signal') && signal !== undefined && !(signal instanceof AbortSignal))
      throw invalid('signal', 'an AbortSignal', signal)
    if (known.includes('onProgress') && onProgress !== undefined && typeof onProgress !== 'function')
      throw invalid('onProgress', 'a function', onProgress)
    for (const key of Object.keys(value)) {
      if (known.includes(key)) continue
      const near = closest(key, known)
      throw refuse(
        `${name}: unknown option '${key}'${near === undefined ? '' : `. Did you mean '${near}'?`}`,
        ...optionOf(name),
      )
    }
  },
}

/**
 * The most similar choice to a misspelt word, or undefined if none is similar (Damerau-Levenshtein distance of at
 * most a third).
 */
export function closest(word: string, choices: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Infinity
  for (const choice of choices) {
    const distance = editDistance(word.toLowerCase(), choice.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [choice, distance]
  }
  return bestDistance <= Math.max(1, Math.ceil(word.length / 3)) ? best : undefined
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j)
  let beforePrevious: number[] = []
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1
      let distance = Math.min(previous[j]! + 1, row[j - 1]! + 1, previous[j - 1]! + cost)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        distance = Math.min(distance, beforePrevious[j - 2]! + 1)
      }
      row.push(distance)
    }
    beforePrevious = previous
    previous = row
  }
  return previous[b.length]!
}
