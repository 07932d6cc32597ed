import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Columns } from '../data/columns.js'
import { checkInputSize, parseInputSize } from '../image/size.js'
import { isDevice } from '../native/runtime.js'
import { VisionTorchError } from '../util/errors.js'

// Options that several commands share, and their parsers.

/** A parser for `--n <number>`: an integer in [min, max]. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return text => {
    const value = /^[+-]?\d+$/.test(text.trim()) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
    throw new InvalidArgumentError(`Expected an integer ${range}.`)
  }
}

/** A parser for `--x <number>`: a number in [min, max]. */
export function number(min = -Infinity, max = Infinity): (text: string) => number {
  return text => {
    const value = text.trim() === '' ? Number.NaN : Number(text)
    if (value >= min && value <= max && Number.isFinite(value)) return value
    const range = max !== Infinity ? ` from ${min} to ${max}` : min !== -Infinity ? ` of at least ${min}` : ''
    throw new InvalidArgumentError(`Expected a number${range}.`)
  }
}

/** A parser for `--x <n|HxW>`: a side in [min, max], or a height and a width. */
export function inputSize(min: number, max: number): (text: string) => number | [number, number] {
  return text => {
    try {
      return checkInputSize('size', parseInputSize(text), min, max)
    } catch {
      throw new InvalidArgumentError(
        `Expected an integer from ${min} to ${max}, or a height and a width: 160x224.`,
      )
    }
  }
}

/** A parser for `--x <true|false>`. */
export function trueOrFalse(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  throw new InvalidArgumentError('Expected true or false.')
}

/** A parser for lists, `--x a,b,c`, that parses each element with `parse`. */
export function list<T>(parse: (text: string) => T): (text: string) => T[] {
  return text => text.split(',').map(parse)
}

/** Adds an argument for the data set, with `--data` as an alternative. Read it with {@link dataOf}. */
export const addDataArgument = (command: Command, help: string): Command =>
  command.argument('[DATA]', help).option('--data <dir|file>', 'another way to name DATA')

/** {@link addDataArgument} for a command that accepts every kind of data set. */
export const addSourceArgument = (command: Command, help: string): Command =>
  addDataArgument(command, `${help}, or a .csv, .tsv, .jsonl, .tar or .parquet file`).option(
    '--columns <name=column,...>',
    'the columns for image, label and split in such a file (default: columns with the usual names)',
    columns,
  )

function columns(text: string): Columns {
  const pairs = text.split(',').map(pair => {
    const [, name, column] = /^(image|label|split)=(.+)$/s.exec(pair) ?? []
    if (name === undefined || column === undefined)
      throw new InvalidArgumentError(
        'Expected image=COLUMN, label=COLUMN or split=COLUMN, separated by commas.',
      )
    return [name, column]
  })
  return Object.fromEntries(pairs)
}

/** The data set of the command line, or undefined if there is none. */
export function dataOf(argument: string | undefined, { data }: { data?: string }): string | undefined {
  if (argument !== undefined && data !== undefined && argument !== data) {
    throw new VisionTorchError(
      'ERR_INVALID_ARGUMENT',
      `expected DATA once, got '${argument}' and --data ${data}. Leave one out`,
    )
  }
  return argument ?? data
}

/** {@link dataOf} for a command that requires a data set. */
export function requiredDataOf(argument: string | undefined, options: { data?: string }): string {
  const data = dataOf(argument, options)
  if (data !== undefined) return data
  throw new VisionTorchError(
    'ERR_INVALID_ARGUMENT',
    'expected DATA: a folder of images with a folder for each class, an annotation file, or a .csv, .tsv, .jsonl, .tar or .parquet file',
  )
}

export const deviceOption = () =>
  new Option('--device <device>', 'where to compute: auto, cpu, cuda or cuda:N')
    .default('auto')
    .argParser(text => {
      if (isDevice(text)) return text
      throw new InvalidArgumentError('Expected auto, cpu, cuda or cuda:N.')
    })
export const classesOption = () =>
  new Option(
    '--classes <file>',
    "a file with one class name per line, in the order of the class ids (default: the folders' names, or cls_classes.txt)",
  )
export const jsonOption = () => new Option('--json', 'print only one JSON document on stdout')
export const threadsOption = () =>
  new Option(
    '--threads <n>',
    'number of CPU threads for each operation (default: the number of cores)',
  ).argParser(integer(1, 1024))
