import { createHash } from 'node:crypto'
import { relative } from 'node:path'
import type { Sample } from './dataset.js'

/** Describes samples as `120 (1f3a...)`: their number, and a digest of their paths below the root and their classes. */
export function describeSamples(root: string, samples: readonly Sample[]): string {
  function* lines(): Generator<string> {
    for (const { path, label } of samples) yield `${relative(root, path)}\0${label}\n`
  }
  return `${samples.length} (${digest(lines())})`
}

/** A digest of texts in their order: 8 hexadecimal digits. */
export function digest(texts: Iterable<string>): string {
  const hash = createHash('sha1')
  for (const text of texts) hash.update(text)
  return hash.digest('hex').slice(0, 8)
}
