import { join } from 'node:path'
import { runtimePackageDirectory } from '../util/package.js'
import {
  cacheDirectory,
  cachedBuilds,
  type Installation,
  inspectInstallation,
  LIBTORCH_VERSION,
  pythonTorches,
  Refusal,
  RUNTIME_PACKAGE,
} from './installation.js'

/** A place where LibTorch may be, and the result of checking it. */
export interface Attempt {
  /** The name of the place: "VISIONTORCH_LIBTORCH", "user cache (CUDA)", … */
  place: string
  /** The directory, or null if the place has none. */
  path: string | null
  /** Why this place was refused; null for the one that is used. */
  refused: { reason: Refusal['reason']; message: string } | null
}

export interface Search {
  found: Installation | null
  attempts: Attempt[]
}

/**
 * Looks for LibTorch in this order: the directory in `VISIONTORCH_LIBTORCH` (if it is set, nothing else is tried) or in
 * `LIBTORCH`; a CUDA build in the user's cache; the platform package; the active Python environment; the CPU build in the
 * user's cache.
 * @param expected The version against which the addon was compiled.
 */
export function locateLibTorch(expected: string = LIBTORCH_VERSION): Search {
  const attempts: Attempt[] = []
  for (const { place, path, missing } of places()) {
    const attempt: Attempt = { place, path, refused: null }
    attempts.push(attempt)
    try {
      if (path === null) throw new Refusal('absent', missing)
      return { found: inspectInstallation(path, expected), attempts }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      attempt.refused = { reason: error.reason, message: error.message }
    }
    if (place === 'VISIONTORCH_LIBTORCH') break
  }
  return { found: null, attempts }
}

function* places(): Generator<{ place: string; path: string | null; missing: string }> {
  for (const variable of ['VISIONTORCH_LIBTORCH', 'LIBTORCH']) {
    const path = process.env[variable]
    if (path) yield { place: variable, path, missing: '' }
  }
  const builds = cachedBuilds()
  const inCache = (name: string) => join(cacheDirectory(), name)
  for (const name of builds.filter(name => !name.endsWith('-cpu')))
    yield { place: 'user cache (CUDA)', path: inCache(name), missing: '' }

  yield { place: RUNTIME_PACKAGE, path: runtimePackageDirectory(), missing: 'not installed' }

  for (const variable of ['VIRTUAL_ENV', 'CONDA_PREFIX']) {
    const environment = process.env[variable]
    if (!environment) continue
    const [path = null] = pythonTorches(environment)
    yield { place: `Python (${variable})`, path, missing: `no torch in ${environment}` }
  }

  const cpu = builds.filter(name => name.endsWith('-cpu'))
  for (const name of cpu) yield { place: 'user cache (CPU)', path: inCache(name), missing: '' }
  if (cpu.length === 0)
    yield { place: 'user cache (CPU)', path: null, missing: `nothing in ${cacheDirectory()}` }
}
