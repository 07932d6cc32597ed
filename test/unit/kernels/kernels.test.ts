import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { prepareToolchain } from '../../../scripts/toolchain.js'
import { int8KernelSets, kernelSets } from '../../support/processor.js'
import { skip } from '../../support/skip.js'

const build = join(import.meta.dirname, '../../../build')

describe('the kernels, compared with plain loops', function () {
  this.timeout(300_000)
  let env: NodeJS.ProcessEnv
  const run = (command: string, ...args: string[]): string => {
    const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', env })
    assert.equal(status, 0, error?.message ?? `${command} ${args.join(' ')}\n${stdout}${stderr}`)
    return stdout
  }
  before(() => {
    env = prepareToolchain()
    run('cmake', '--build', build, '--target', 'kernel-tests')
  })

  for (const set of [...kernelSets, ...int8KernelSets])
    it(`${set} gives the same results for all sizes`, function () {
      const output = run(
        'ctest',
        '--test-dir',
        build,
        '--output-on-failure',
        '--tests-regex',
        `^kernels-${set}$`,
      )
      if (/\*\*\*Skipped/.test(output)) skip(this, `this processor does not have ${set}`)
      assert.match(output, /100% tests passed, 0 tests failed out of 1/)
    })
})
