import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type CheckpointValue, readCheckpoint, writeCheckpoint } from '../../lib/index.js'
import { createModel } from '../../lib/model/create-model.js'
import { hashTensors, type TensorHash } from '../support/checkpoint.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

interface Content {
  tensors: Record<string, TensorHash>
  metadata: Record<string, string> | null
}
const inPython = (command: 'read' | 'write', path: string): Content =>
  JSON.parse(runReference('safetensors_files.py', command, path))

describe("safetensors files, against Python's library", function () {
  this.timeout(120_000)
  let folder: string
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
  })
  after(removeTemporaryFolders)

  it('of every type are read as Python wrote them, and written so that Python reads the same', async () => {
    const [theirs, ours] = [join(folder, 'theirs.safetensors'), join(folder, 'ours.safetensors')]
    const written = inPython('write', theirs)
    const content = (await readCheckpoint(theirs)) as Map<string, CheckpointValue>
    assert.deepEqual(hashTensors(content), written.tensors)
    assert.deepEqual(Object.fromEntries(content.get('__metadata__') as Map<string, string>), written.metadata)
    await writeCheckpoint(ours, content, { container: 'safetensors' })
    assert.deepEqual(inPython('read', ours), written)
  })

  it('of a model contain its state dict', async () => {
    const path = join(folder, 'model.safetensors')
    using model = await createModel('resnet18', { classes: ['a', 'リンゴ'], device: 'cpu' })
    await model.save(path, { format: 'safetensors' })
    const { tensors, metadata } = inPython('read', path)
    assert.deepEqual(tensors, hashTensors((await model.stateDict()) as never))
    assert.equal(metadata!.format, 'pt')
    assert.deepEqual(JSON.parse(metadata!.visiontorch!).classes, ['a', 'リンゴ'])
  })
})
