import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { ImageFolder } from '../../lib/data/image-folder.js'
import { link, removeTemporaryFolders, temporaryFolder, writeFiles } from '../support/folder.js'

describe("ImageFolder against torchvision's", () => {
  afterEach(removeTemporaryFolders)

  it('has the same classes and samples in the same order', async () => {
    const expected = JSON.parse(
      await readFile(new URL('../fixtures/image-folder.json', import.meta.url), 'utf8'),
    )
    const root = await temporaryFolder()
    await writeFiles(root, expected.files)
    for (const [name, target] of Object.entries<string>(expected.links)) await link(root, name, target)
    const found = await ImageFolder.open(root, { valFraction: 0 })
    assert.deepEqual(found.classes, expected.classes)
    assert.deepEqual(
      found.split('train').map(({ path, label }) => [relative(root, path), label]),
      expected.samples,
    )
  })
})
