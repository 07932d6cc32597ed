import { basename, resolve } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { check, invalid, is } from '../util/is.js'
import { type SplitName, splitName, splitOrder } from './dataset.js'

/**
 * Files that hold many images each: one, several, or some for each split. `{000..012}` in a name stands for a range
 * of numbers.
 */
export type Shards = string | readonly string[] | Partial<Record<SplitName, string | readonly string[]>>

/** The absolute paths of the files of each split. If no split is given, their names decide: `val-0001.tar`. */
export function shardFiles(shards: Shards): Map<SplitName, string[]> {
  if (is.object(shards) && !Array.isArray(shards)) {
    check.options('shards', shards, splitOrder)
    const given = splitOrder.filter(split => shards[split as keyof typeof shards] !== undefined)
    if (given.length === 0) throw invalid('shards', 'at least one of train, val and test', shards)
    return new Map(
      given.map(split => [split, list(`shards.${split}`, (shards as Record<string, unknown>)[split])]),
    )
  }
  return bySplit(list('shards', shards))
}

function list(name: string, value: unknown): string[] {
  const paths = Array.isArray(value) ? value : [value]
  if (paths.length === 0) throw invalid(name, 'at least one path', value)
  return paths
    .flatMap((path, i) => expand(check.string(paths.length === 1 ? name : `${name}[${i}]`, path)))
    .map(path => resolve(path))
}

const MOST_SHARDS = 100_000

/** `a-{08..10}.tar` stands for a-08.tar, a-09.tar and a-10.tar. */
function expand(path: string): string[] {
  const [, before = '', first = '', last = '', after = ''] = /^(.*?)\{(\d+)\.\.(\d+)\}(.*)$/s.exec(path) ?? []
  if (first === '') return [path]
  const count = Number(last) - Number(first) + 1
  if (!(count >= 1 && count <= MOST_SHARDS))
    throw invalid('shards', `a range of 1 to ${MOST_SHARDS} files`, path)
  return Array.from({ length: count }, (_, i) =>
    String(Number(first) + i).padStart(first.length, '0'),
  ).flatMap(number => expand(`${before}${number}${after}`))
}

/** The split that a word in the name of a file means: `train-00000-of-00002.parquet`, `birds-val-0001.tar`. */
const splitInName = (path: string): SplitName | undefined =>
  basename(path)
    .match(/[a-z]+/gi)
    ?.map(splitName)
    .find(split => split !== undefined)

/** Groups files by the splits in their names; if no name has one, all are for training. */
function bySplit(paths: readonly string[]): Map<SplitName, string[]> {
  const named = paths.filter(path => splitInName(path) !== undefined)
  if (named.length === 0) return new Map([['train', [...paths]]])
  const splits = new Map<SplitName, string[]>()
  for (const split of splitOrder) {
    const ofSplit = paths.filter(path => splitInName(path) === split)
    if (ofSplit.length > 0) splits.set(split, ofSplit)
  }
  const unclear = paths.find(path => splitInName(path) === undefined)
  if (unclear === undefined) return splits
  throw new VisionTorchError(
    'ERR_DATASET',
    `${unclear}: expected train, val or test in its name, as in the names of other files. Rename the file`,
  )
}
