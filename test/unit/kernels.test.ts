import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { hasKernels, kernelSets } from '../support/processor.js'
import { skip } from '../support/skip.js'

const root = join(import.meta.dirname, '../..')

describe('the kernels, beside plain loops in double precision', function () {
  this.timeout(300_000)
  let program: string
  before(async () => {
    const objects = kernelSets.map(set => `build/CMakeFiles/visiontorch.dir/native/kernels/x86/${set}.cc.o`)
    const tests = ['main', 'products', 'depthwise', 'winograd', 'batch_norm'].map(
      name => `test/native/kernels/${name}.cc`,
    )
    const sources = [...tests, 'native/kernels/table.cc', 'native/runtime/cpu_features.cc']
    program = join(await temporaryFolder(), 'kernels')
    const options = ['-std=c++20', '-O2', '-Wall', '-Werror', '-Wno-sign-compare', '-Inative', '-o', program]
    execFileSync(process.env.CXX ?? 'c++', [...options, ...sources, ...objects], { cwd: root })
  })
  after(removeTemporaryFolders)

  for (const set of kernelSets) {
    it(`${set} gives the same, whatever the sizes`, function () {
      if (!hasKernels(set)) skip(this, `this processor does not have ${set}`)
      const lines = execFileSync(program, [set], { encoding: 'utf8' }).trim().split('\n')
      assert.ok(lines.length >= 15, `kernels tested: ${lines.length}`)
      for (const line of lines) {
        const [kernel, cases, failures, ...first] = line.split(' ')
        assert.ok(Number(cases) > 0)
        assert.equal(
          Number(failures),
          0,
          `${kernel}: ${failures} of ${cases} failed, first ${first.join(' ')}`,
        )
      }
    })
  }
})
