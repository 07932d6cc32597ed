import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { inspectCheckpoint, loadModel } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { tinyModel } from '../support/tiny-model.js'

function convert(...args: string[]) {
  const command = ['--import', 'tsx', 'lib/cli/main.ts', 'convert', ...args]
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' })
  return { status, stdout, stderr }
}

describe('visiontorch convert', () => {
  let folder: string
  let saved: string
  const to = (name: string) => join(folder, name)
  before(async () => {
    folder = await temporaryFolder()
    saved = to('model.pth')
    using model = await tinyModel()
    await model.save(saved)
  })
  after(removeTemporaryFolders)

  it('chooses the container by the extension, and writes a model that loads', async () => {
    const { status, stdout, stderr } = convert(saved, to('model.safetensors'), '--dtype', 'bfloat16')
    assert.deepEqual([status, stdout], [0, ''], stderr)
    assert.match(stderr, /wrote .*model\.safetensors/)
    using model = await loadModel(to('model.safetensors'), { device: 'cpu' })
    assert.deepEqual(model.classes, ['ant', 'bee', 'cow'])
  })

  it('accepts the flags', async () => {
    const flags = ['--container', 'legacy', '--format', 'state_dict', '--no-classifier']
    assert.equal(convert(saved, to('weights.pth'), ...flags).status, 0)
    const { container, tensors } = await inspectCheckpoint(to('weights.pth'))
    assert.equal(container, 'legacy')
    assert.equal(
      tensors.some(({ name }) => name.startsWith('classifier')),
      false,
    )
    // The file no longer says which network it holds.
    const { status, stderr } = convert(to('weights.pth'), to('x.pth'), '--names', 'timm')
    assert.equal(status, 2)
    assert.match(
      stderr,
      /does not say which network it holds, on which --names depends. Name it with --model/,
    )
  })

  it('refuses unknown values', () => {
    assert.match(convert(saved, to('x.pth'), '--container', 'tar').stderr, /Allowed choices are zip, legacy/)
    const { status, stderr } = convert(to('missing.pth'), to('x.pth'))
    assert.equal(status, 1)
    assert.match(stderr, /missing\.pth/)
  })
})
