import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const fixture = (name: string): string => join(import.meta.dirname, '../fixtures/checkpoints', name)

function inspect(...args: string[]) {
  const command = ['--import', 'tsx', 'lib/cli/main.ts', 'inspect', ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    encoding: 'utf8',
    env: { ...process.env, NO_COLOR: '1' },
  })
  return { status, stdout, stderr }
}

describe('visiontorch inspect', () => {
  it('lists container, tensors and metadata', () => {
    const { status, stdout, stderr } = inspect(fixture('training_legacy.pth'))
    assert.deepEqual({ status, stderr }, { status: 0, stderr: '' })
    assert.match(stdout, /^state_dict\/0\.weight +float32 +2 x 1 x 1 x 1 +8 B$/m)
    assert.match(stdout, /^state_dict\/1\.num_batches_tracked +int64 +8 B$/m)
    assert.match(stdout, /^classes: \["cat","dog","é"\]$/m)
    assert.match(stdout, /^legacy file: 11 tensors, 21 elements, 88 B$/m)
  })

  it('--json prints one document: container, tensors, metadata', () => {
    const { status, stdout } = inspect('--json', '--verify', fixture('training_zip.pth'))
    assert.equal(status, 0)
    const { container, tensors, metadata, ...rest } = JSON.parse(stdout)
    assert.deepEqual(rest, {})
    assert.equal(container, 'zip')
    assert.deepEqual(tensors[0], {
      name: 'state_dict/0.weight',
      dtype: 'float32',
      shape: [2, 1, 1, 1],
      bytes: 8,
    })
    assert.deepEqual(Object.keys(metadata).slice(0, 4), ['optimizer', 'epoch', 'best', 'classes'])
    assert.equal(metadata.big, String(2n ** 70n))
  })

  it('says in one line what is wrong with a file', () => {
    assert.deepEqual(inspect('nowhere.pth'), {
      status: 1,
      stdout: '',
      stderr: "error: no such file: 'nowhere.pth'. Check the path\n",
    })
    assert.match(inspect(fixture('torchscript.pth')).stderr, /^error: .*TorchScript archive.*\n$/)
    assert.equal(inspect().status, 2)
  })
})
