import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { toPath } from '../util/file-name.js'
import type { Sample } from './dataset.js'

/** Images that were found elsewhere, with their old and new folders. */
export interface Relocated {
  samples: Sample[]
  from: string
  to: string
}

/**
 * Annotations from another machine, or from before their folder was moved, name images that do not exist here. If the last
 * parts of their paths exist below the annotations' own folder, this returns the samples with those paths.
 */
export async function relocate(samples: readonly Sample[], folder: string): Promise<Relocated | undefined> {
  const probes = [samples[0]!, samples[samples.length >> 1]!, samples.at(-1)!]
  for (const { path } of probes) if (await exists(path)) return undefined
  for (const { path } of probes) {
    const parts = split(path)
    // The folder of the class must match, too, because names such as 1.jpg exist everywhere.
    for (let cut = 1; cut <= parts.length - 2; cut++) {
      if (!(await exists(join(folder, ...parts.slice(cut))))) continue
      const from = parts.slice(0, cut).join('/')
      const moved = samples.map(sample => ({ ...sample, path: movedPath(sample.path, from, cut, folder) }))
      return { samples: moved, from, to: folder }
    }
  }
  return undefined
}

function movedPath(path: string, from: string, cut: number, folder: string): string {
  const parts = split(path)
  return parts.slice(0, cut).join('/') === from ? join(folder, ...parts.slice(cut)) : path
}

/** Also splits Windows paths. */
const split = (path: string): string[] => path.split(/[\\/]/)

export const exists = (path: string): Promise<boolean> =>
  access(toPath(path)).then(
    () => true,
    () => false,
  )
