import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { packageDirectory } from '../util/package.js'
import { LIBTORCH_VERSION, RUNTIME_PACKAGE } from './installation.js'
import type { Attempt } from './locate.js'

/** The error for a search that found nothing. It lists every place with its problem, and the command that solves it. */
export function explain(attempts: readonly Attempt[], expected: string): VisionTorchError {
  const decisive = attempts.find(({ refused }) => refused !== null && refused.reason !== 'absent')
  const code = {
    absent: 'ERR_LIBTORCH_NOT_FOUND',
    version: 'ERR_LIBTORCH_VERSION',
    damaged: 'ERR_LIBTORCH',
  } as const
  const lines = attempts.map(attempt => `  ${describeAttempt(attempt)}`)
  return new VisionTorchError(
    code[decisive?.refused?.reason ?? 'absent'],
    [
      `found no LibTorch ${expected} that can be loaded. Looked in:`,
      ...lines,
      remedy(attempts, decisive),
    ].join('\n'),
  )
}

/** "user cache (CPU): /home/me/.cache/…: is LibTorch 2.12.0; …" */
export function describeAttempt({ place, path, refused }: Attempt): string {
  return [place, path, refused?.message].filter(part => part !== null && part !== undefined).join(': ')
}

function remedy(attempts: readonly Attempt[], decisive: Attempt | undefined): string {
  const [first] = attempts
  if (first?.place === 'VISIONTORCH_LIBTORCH')
    return `Set VISIONTORCH_LIBTORCH to a directory of LibTorch ${LIBTORCH_VERSION}, or run: unset VISIONTORCH_LIBTORCH`
  if (existsSync(join(packageDirectory(), 'native'))) return 'Run: npm run build:native'
  const reinstall = decisive?.place === RUNTIME_PACKAGE ? `rm -r '${decisive.path}' && ` : ''
  return `Run: ${reinstall}npm install ${RUNTIME_PACKAGE}@${LIBTORCH_VERSION}`
}
