// Prints the interpreter of a virtual environment in the user's cache that has the packages of
// test/reference/requirements*.txt. Creates it in the first call and whenever these files change. The tests find it by
// VISIONTORCH_TEST_PYTHON.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { cacheDirectory } from '../lib/libtorch/installation.js'

const [requirements, withoutDependencies] = ['requirements', 'requirements-no-deps'].map(
  name => `test/reference/${name}.txt`,
) as [string, string]
const hash = createHash('sha256')
for (const file of [requirements, withoutDependencies]) hash.update(readFileSync(file))
hash.update(execFileSync('python3', ['--version']))

const environment = join(cacheDirectory(), `../reference-python-${hash.digest('hex').slice(0, 12)}`)
const python = join(environment, 'bin/python')
const complete = join(environment, 'complete')
if (!existsSync(complete)) {
  note(`installing ${requirements} into ${environment}`)
  rmSync(environment, { recursive: true, force: true })
  execFileSync('python3', ['-m', 'venv', environment])
  const install = (...args: string[]) =>
    execFileSync(python, ['-m', 'pip', 'install', '--quiet', ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    })
  install('-r', requirements)
  install('--no-deps', '-r', withoutDependencies)
  writeFileSync(complete, '')
}
console.log(python)
