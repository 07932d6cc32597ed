import { checkInputSize, parseInputSize } from '../image/size.js'
import { check, invalid, is } from '../util/is.js'

// Kinds of option values: how each is checked, and how it is written on the command line.

/** `T` is a checked value; `Given` is what a program may pass for it. */
export interface Kind<T, Given = T> {
  /** The value in `--help`. */
  placeholder: string
  /** Checks a value that a program passed. */
  check(name: string, value: unknown): T
  /** Converts a word of the command line to a value, without checking it. */
  parse(text: string): unknown
  /** Exists only as a type: it never has a value. */
  readonly given?: Given
}

/** What a program may pass for a kind. */
export type GivenOf<K> = K extends Kind<unknown, infer Given> ? Given : never

/** Leaves a word that is not a number as it is, so that the error can show it. */
const parseNumber = (text: string): unknown =>
  text.trim() === '' || Number.isNaN(Number(text)) ? text : Number(text)

export const integer = (min: number, max?: number): Kind<number> => ({
  placeholder: '<n>',
  check: (name, value) => check.integer(name, value, min, max),
  parse: parseNumber,
})

export const number = (min: number, max?: number): Kind<number> => ({
  placeholder: '<x>',
  check: (name, value) => check.number(name, value, min, max),
  parse: parseNumber,
})

/** The side of a square, or `[height, width]`; `160x224` on the command line. */
export const inputSize = (
  min: number,
  max: number,
): Kind<number | [height: number, width: number], number | readonly [height: number, width: number]> => ({
  placeholder: '<n|HxW>',
  check: (name, value) => checkInputSize(name, value, min, max),
  parse: parseInputSize,
})

/** Above 0. */
export const positive: Kind<number> = {
  placeholder: '<x>',
  check(name, value) {
    if (is.number(value) && value > 0) return value
    throw invalid(name, 'a number above 0', value)
  },
  parse: parseNumber,
}

/** Above 0, at most 1. */
export const positiveShare: Kind<number> = {
  placeholder: '<x>',
  check(name, value) {
    if (is.number(value) && value > 0 && value <= 1) return value
    throw invalid(name, 'a number above 0, at most 1', value)
  },
  parse: parseNumber,
}

/** At least 0, below 1. */
export const fraction: Kind<number> = {
  placeholder: '<x>',
  check(name, value) {
    if (is.number(value) && value >= 0 && value < 1) return value
    throw invalid(name, 'a number from 0 to below 1', value)
  },
  parse: parseNumber,
}

export const boolean: Kind<boolean> = {
  placeholder: '',
  check: check.boolean,
  parse: text => (text === 'true' ? true : text === 'false' ? false : text),
}

/** A {@link boolean} whose value is written on the command line, because its absence means neither true nor false. */
export const trueOrFalse: Kind<boolean> = { ...boolean, placeholder: '<true|false>' }

export const text = (placeholder: string): Kind<string> => ({
  placeholder,
  check: check.string,
  parse: t => t,
})

export const choice = <T extends string>(...choices: T[]): Kind<T> => ({
  placeholder: `<${choices.join('|')}>`,
  check: (name, value) => check.oneOf(name, value, choices),
  parse: t => t,
})

/** Also accepts null, which is `none` on the command line. */
export const optional = <T, Given>(kind: Kind<T, Given>): Kind<T | null, Given | null> => ({
  placeholder: kind.placeholder,
  check: (name, value) => (value === null ? null : kind.check(name, value)),
  parse: t => (t === 'none' ? null : kind.parse(t)),
})

/** A property of a {@link variant} with its default. */
export interface Property<T> {
  kind: Kind<T>
  default: T
}

export const property = <T>(kind: Kind<T>, fallback: NoInfer<T>): Property<T> => ({ kind, default: fallback })

type Properties = Readonly<Record<string, Property<unknown>>>

type Variant<V extends Record<string, Properties>> = {
  [Name in keyof V]: { name: Name } & { [Key in keyof V[Name]]: V[Name][Key]['default'] }
}[keyof V]

/**
 * A name, or an object with a name and properties: `'adam'` means `{ name: 'adam' }`. On the command line,
 * `adam,eps=1e-6,betas=0.9:0.99`. `variants` lists the properties of each name.
 *
 * The return type is spelled out so that the documentation shows it in full.
 */
export function variant<V extends Record<string, Properties>>(
  variants: V,
): Kind<
  Variant<V>,
  | keyof V
  | { [Name in keyof V]: { name: Name } & { [Key in keyof V[Name]]?: V[Name][Key]['default'] } }[keyof V]
> {
  return {
    placeholder: '<name[,key=value...]>',
    check(name, value) {
      const given: unknown = is.string(value) ? { name: value } : value
      if (!is.object(given)) throw invalid(name, 'a name or an object with a name', value)
      const chosen = check.oneOf(is.string(value) ? name : `${name}.name`, given.name, Object.keys(variants))
      const properties = variants[chosen]!
      check.options(name, given, ['name', ...Object.keys(properties)])
      const checked: Record<string, unknown> = { name: chosen }
      for (const [key, { kind, default: fallback }] of Object.entries(properties)) {
        checked[key] = given[key] === undefined ? fallback : kind.check(`${name}.${key}`, given[key])
      }
      return checked as Variant<V>
    },
    parse: parseNamed,
  }
}

/** `name,key=value,...` -> `{ name, key: value, ... }` */
function parseNamed(text: string): unknown {
  const [name, ...pairs] = text.split(',')
  return pairs.length === 0 ? text : { name, ...parsePairs(pairs) }
}

/**
 * Parses pairs of the form `key=value`. Colons separate the values of a list, a dot leads to a key of an inner object, and a key
 * alone means true.
 */
export function parsePairs(pairs: readonly string[]): Record<string, unknown> {
  const parsed: Record<string, unknown> = {}
  for (const pair of pairs) {
    const [path, text] = pair.split('=', 2) as [string, string?]
    const values = text?.split(':').map(parseWord) ?? [true]
    const value = values.length === 1 ? values[0] : values
    const [key, inner] = path.split('.', 2) as [string, string?]
    parsed[key] = inner === undefined ? value : { ...(parsed[key] as object), [inner]: value }
  }
  return parsed
}

const words: Readonly<Record<string, unknown>> = { true: true, false: false, none: null }

const parseWord = (word: string): unknown =>
  Object.hasOwn(words, word)
    ? words[word]
    : word.trim() !== '' && !Number.isNaN(Number(word))
      ? Number(word)
      : word
