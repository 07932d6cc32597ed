import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createModel, type EpochMetrics, train } from '../../lib/index.js'
import { hashTensors } from '../support/checkpoint.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

describe("a run with the preset 'classification-pytorch'", function () {
  this.timeout(120_000)
  let directory: string
  const epochs: EpochMetrics[] = []
  const read = (name: string) => readFileSync(join(directory, name), 'utf8')
  const weights = () => readdirSync(directory).filter(name => /^(ep\d|.*_weights)/.test(name))
  before(async () => {
    const root = await temporaryFolder()
    const data = join(root, 'photos')
    directory = join(root, 'run')
    await drawPhotos(data, { classes: ['checks', 'rows'], train: 4, val: 2 })
    using model = await createModel('mobilenet_v2', {
      classes: ['checks', 'rows'],
      widthMult: 0.25,
      device: 'cpu',
    })
    const run = train(model, {
      data,
      directory,
      preset: 'classification-pytorch',
      epochs: 5,
      saveEvery: 2,
      batchSize: 4,
      inputSize: 32,
      report: false,
    })
    for await (const event of run) if (event.type === 'epoch') epochs.push(event)
  })
  after(removeTemporaryFolders)

  it("writes the platform's files in addition to its own", () => {
    const periodic = [2, 4, 5].map(epoch => {
      const { trainLoss, validationLoss } = epochs[epoch - 1]!
      return `ep00${epoch}-loss${trainLoss.toFixed(3)}-val_loss${validationLoss.toFixed(3)}.pth`
    })
    assert.deepEqual(weights(), ['best_epoch_weights.pth', ...periodic, 'last_epoch_weights.pth'].sort())
    const losses = (name: string) => read(name).trimEnd().split('\n').map(Number)
    assert.deepEqual(
      losses('epoch_loss.txt'),
      epochs.map(({ trainLoss }) => trainLoss),
    )
    assert.deepEqual(
      losses('epoch_val_loss.txt'),
      epochs.map(({ validationLoss }) => validationLoss),
    )
  })

  it("writes weights that load in Python into torchvision's network with strict=True", async function () {
    if (!python) skip(this, NO_PYTHON)
    const files = weights().map(name => ({
      path: join(directory, name),
      architecture: 'mobilenet_v2',
      kwargs: { num_classes: 2, width_mult: 0.25 },
    }))
    const loaded = JSON.parse(runReference('load_saved.py', JSON.stringify(files))) as {
      tensors: Record<string, string>
      metadata: unknown
    }[]
    for (const { metadata } of loaded) assert.equal(metadata, null)
    using best = await createModel('mobilenet_v2', {
      weights: join(directory, 'best.pth'),
      device: 'cpu',
    })
    const hashes = Object.entries(hashTensors((await best.stateDict()) as never))
    assert.deepEqual(
      loaded[weights().indexOf('best_epoch_weights.pth')]!.tensors,
      Object.fromEntries(hashes.map(([name, { sha256 }]) => [name, sha256])),
    )
  })
})
