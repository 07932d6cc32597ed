import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { writeCheckpoint } from '../../lib/index.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { tinyModel } from '../support/tiny-model.js'

const program = `'${process.execPath}' '${join(import.meta.dirname, '../../dist/cli/main.js')}'`

/** Runs a shell command in which `visiontorch` is the built program. */
function shell(line: string) {
  const script = `visiontorch() { ${program} "$@"; }\n${line}`
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8' })
  return { status, stdout, stderr }
}

describe('the output of a command', function () {
  this.timeout(60_000)
  let folder: string
  let commands: Record<string, string>
  let training: string
  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    await drawPhotos(join(folder, 'photos'))
    const checkpoint = join(folder, 'model.pth')
    using model = await tinyModel({ classes: ['checks', 'columns', 'rows'] })
    await model.save(checkpoint)
    const data = `--data ${folder}/photos`
    commands = {
      help: '--help',
      predict: `predict ${folder}/photos --checkpoint ${checkpoint} --batch-size 1`,
      'predict --json': `predict ${folder}/photos --checkpoint ${checkpoint} --json`,
      evaluate: `evaluate ${data} --checkpoint ${checkpoint}`,
      'evaluate --json': `evaluate ${data} --checkpoint ${checkpoint} --json`,
      inspect: `inspect ${checkpoint}`,
      summary: 'summary --model resnet18',
      'weights list': 'weights list --json',
      doctor: `doctor ${data}`,
      annotate: `annotate ${data} --out ${folder}/lists`,
    }
    training = `visiontorch train ${data} --model mobilenet_v2 --weights none --input-size 32 --threads 1 --json`
  })
  after(removeTemporaryFolders)

  it('that cannot be written is an error: exit code 1 and one line', () => {
    for (const [name, command] of Object.entries(commands)) {
      const { status, stderr } = shell(`visiontorch ${command} > /dev/full`)
      assert.equal(status, 1, name)
      assert.equal(
        stderr,
        'error: cannot write to standard output: the disk is full. Free some space, or choose a directory on another disk\n',
        name,
      )
    }
  })

  it('may be cut off by its reader without an error', () => {
    for (const [name, command] of Object.entries(commands)) {
      const { status, stderr } = shell(`visiontorch ${command} | head -c 1; exit \${PIPESTATUS[0]}`)
      assert.deepEqual({ status, stderr }, { status: 0, stderr: '' }, name)
    }
  })

  it('reaches a slow reader to the last byte', async () => {
    const many = join(folder, 'many.pth')
    const names = Array.from({ length: 3000 }, (_, i) => `a number with a long name, the ${i}th`)
    await writeCheckpoint(many, new Map(names.map((name, i) => [name, i])))
    const { status, stdout } = shell(`visiontorch inspect ${many} --json | (sleep 0.5; cat)`)
    assert.equal(status, 0)
    assert.ok(stdout.length > 1 << 17, `${stdout.length} bytes`)
    assert.equal(Object.keys(JSON.parse(stdout).metadata).length, names.length)
  })

  it('stops and saves a training run when it cannot be written', async () => {
    for (const [name, redirection, code] of [
      ['full', '> /dev/full', 1],
      ['closed', '| head -1 > /dev/null', 0],
    ] as const) {
      const out = join(folder, name)
      const { status, stderr } = shell(
        `${training} --epochs 10000 --out ${out} ${redirection}; exit \${PIPESTATUS[0]}`,
      )
      assert.equal(status, code, stderr)
      assert.match(stderr, /^saved .*last\.pth; continue with: visiontorch train --resume --out /)
      await access(join(out, 'last.pth'))
    }
  })
})
