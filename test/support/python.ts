import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

/** The Python of the parity tests, with the packages of test/reference/requirements.txt; `npm run reference:python` makes it. */
export const python = process.env.VISIONTORCH_TEST_PYTHON

/** The reason to skip tests that run Python. */
export const NO_PYTHON = 'VISIONTORCH_TEST_PYTHON names no Python (npm run reference:python)'

/**
 * The environment of the reference's programs. Their networks are so small that several threads would mostly wait for each other, for
 * minutes on a busy machine.
 */
export const pythonEnvironment = { ...process.env, OMP_NUM_THREADS: '1' }

/** Runs a script of test/reference/ and returns its output. */
export function runReference(script: string, ...args: string[]): string {
  const path = join(import.meta.dirname, '../reference', script)
  const { status, stdout, stderr } = spawnSync(python!, [path, ...args], {
    encoding: 'utf8',
    env: pythonEnvironment,
    maxBuffer: 1 << 28,
  })
  if (status !== 0) throw new Error(`${script} failed:\n${stderr}`)
  return stdout
}
