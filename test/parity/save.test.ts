import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { createModel } from '../../lib/model/create-model.js'
import type { Model } from '../../lib/model/model.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

interface Loaded {
  tensors: Record<string, string>
  metadata: Record<string, unknown> | null
}

async function hashes(model: Model): Promise<Record<string, string>> {
  const tensors: Record<string, string> = {}
  for (const [name, { data }] of await model.stateDict()) {
    tensors[name] = createHash('sha256').update(data).digest('hex')
  }
  return tensors
}

describe(`saved models, in Python`, function () {
  this.timeout(600_000)
  before(function () {
    if (!python) skip(this, NO_PYTHON)
  })
  after(removeTemporaryFolders)

  // The last is the folder name 'Gro\xdf' in Latin-1, as os.fsdecode() returns it.
  const classes = ['ein Apfel', 'リンゴ', 'Gro\udcdf']
  const cases = [
    { architecture: 'mobilenet_v2', options: { widthMult: 0.25 }, kwargs: { width_mult: 0.25 } },
    { architecture: 'resnet18', options: {}, kwargs: {} },
    { architecture: 'resnext50_32x4d', options: {}, kwargs: {} },
    { architecture: 'vgg11_bn', options: {}, kwargs: {} },
    { architecture: 'mnasnet0_5', options: {}, kwargs: {} }, // which refuses a state dict without its version
    { architecture: 'efficientnet_b0', options: {}, kwargs: {} },
    { architecture: 'densenet121', options: {}, kwargs: {} },
    { architecture: 'squeezenet1_1', options: {}, kwargs: {} },
    { architecture: 'convnext_tiny', options: {}, kwargs: {} },
    { architecture: 'swin_v2_t', options: {}, kwargs: {} },
  ] as const
  for (const { architecture, options, kwargs } of cases) {
    it(`${architecture} loads with weights_only=True, and into torchvision's module with strict=True`, async () => {
      const folder = await temporaryFolder()
      using model = await createModel(architecture, { ...options, classes, seed: 5 })
      const files = (['checkpoint', 'state_dict'] as const).map(format => ({
        format,
        path: join(folder, `${format}.pth`),
      }))
      for (const { format, path } of files) await model.save(path, { format })
      const wanted = files.map(({ path }) => ({ path, architecture, kwargs: { ...kwargs, num_classes: 3 } }))

      const [checkpoint, stateDict] = JSON.parse(runReference('load_saved.py', JSON.stringify(wanted))) as [
        Loaded,
        Loaded,
      ]
      const expected = await hashes(model)
      assert.deepEqual(checkpoint.tensors, expected)
      assert.deepEqual(stateDict.tensors, expected)
      assert.equal(stateDict.metadata, null)
      assert.deepEqual(checkpoint.metadata, {
        architecture,
        classes,
        preprocessing: { ...model.preprocessing },
        options,
      })
      await removeTemporaryFolders()
    })
  }
})
