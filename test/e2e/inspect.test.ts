import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { op, tensor, zipFile } from '../support/pth.js'

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
  it('lists the container, tensors and metadata', () => {
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
    assert.deepEqual(rest, { skipped: [] })
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

  it('lists skipped objects, and prints no control sequences', () => {
    const directory = mkdtempSync(join(tmpdir(), 'visiontorch-inspect-'))
    const path = join(directory, 'hostile.pth')
    const namespace = Buffer.concat([
      op.global('argparse.Namespace'),
      op.tuple(),
      Buffer.from('\x81', 'latin1'),
    ])
    const hidden = '\x1b]0;title\x07\u009b2J\u202egnp.exe'
    const items = [op.str('w\n'), tensor(), op.str('args'), namespace, op.str(hidden), op.str(hidden)]
    writeFileSync(path, zipFile(op.dict(...items)))
    try {
      const { stdout } = inspect(path)
      assert.match(stdout, /^w\\u\{a\} +float32/m)
      assert.match(stdout, /^args: skipped, an object of argparse\.Namespace$/m)
      assert.match(stdout, /^\\u\{1b\}\]0;title\\u\{7\}\\u\{9b\}2J\\u\{202e\}gnp\.exe: "/m)
      assert.doesNotMatch(stdout.replaceAll('\n', ''), /[\p{Cc}\p{Cf}]/u)
      const json = inspect('--json', path).stdout
      assert.doesNotMatch(json.trimEnd(), /[\p{Cc}\p{Cf}]/u)
      const { skipped, metadata } = JSON.parse(json)
      assert.deepEqual(skipped, [{ name: 'args', type: 'argparse.Namespace' }])
      assert.deepEqual(metadata, { [hidden]: hidden })
    } finally {
      rmSync(directory, { recursive: true })
    }
  })

  it('shortens a table of very many tensors', () => {
    const directory = mkdtempSync(join(tmpdir(), 'visiontorch-inspect-'))
    const path = join(directory, 'many.pth')
    const others = Array.from({ length: 4999 }, (_, i) => Buffer.concat([op.int(i), op.get(1)]))
    writeFileSync(path, zipFile(op.dict(op.str('w'), tensor(), op.put(1), ...others)))
    try {
      const { stdout } = inspect(path)
      assert.match(stdout, /^\.\.\. and 4,000 more \(use --json\)$/m)
      assert.ok(stdout.split('\n').length < 1010)
      assert.equal(JSON.parse(inspect('--json', path).stdout).tensors.length, 5000)
    } finally {
      rmSync(directory, { recursive: true })
    }
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
