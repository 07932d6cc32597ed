import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'

let isBuilt = false

/** Builds dist/ from lib/, once for all tests. Call it in a `before`. */
export function buildDist(): void {
  if (isBuilt) return
  const { status, stdout, stderr } = spawnSync('npm', ['run', '--silent', 'build:ts'], { encoding: 'utf8' })
  assert.equal(status, 0, stdout + stderr)
  isBuilt = true
}
