import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'

describe("NCCL's functions, with a library that stands in for it", function () {
  this.timeout(120_000)
  after(removeTemporaryFolders)

  it('are found at run time, sum and broadcast, and say what fails', async () => {
    const folder = await temporaryFolder()
    const root = join(import.meta.dirname, '../../..')
    const run = (command: string, ...args: string[]) => {
      const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd: root })
      assert.equal(status, 0, error?.message ?? stderr)
    }
    const compile = (...args: string[]) => run(process.env.CXX ?? 'c++', '-std=c++20', ...args)
    const [library, program] = [join(folder, 'libnccl.so.2'), join(folder, 'test')]
    compile('-shared', '-fPIC', '-o', library, 'test/native/distributed/fake_nccl.cc')
    const sources = ['test/native/distributed/nccl.cc', 'native/distributed/nccl.cc']
    compile('-Inative', '-o', program, ...sources, '-pthread', '-ldl')
    run(program, library)
  })
})
