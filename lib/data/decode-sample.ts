import { type DecodeOptions, decode } from '../image/decode.js'
import type { Pixels } from '../native/native.js'
import type { Sample } from './dataset.js'

/** The pixels of an image in a data set, wherever its bytes are. */
export async function decodeSample({ path, read }: Sample, options: DecodeOptions): Promise<Pixels> {
  return read === undefined ? decode(path, options) : decode(await read(), { ...options, name: path })
}

/** Decodes images of a data set by their paths, by which evaluations name them. */
export function decodeByPath(
  samples: Iterable<Sample>,
  options: DecodeOptions,
): (path: string) => Promise<Pixels> {
  let byPath: Map<string, Sample> | undefined
  return path => {
    byPath ??= new Map(Array.from(samples, sample => [sample.path, sample]))
    return decodeSample(byPath.get(path) ?? { path, label: 0 }, options)
  }
}
