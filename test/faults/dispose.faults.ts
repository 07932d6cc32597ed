import assert from 'node:assert/strict'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { VisionTorchError } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { smallNetwork } from '../support/small-network.js'

describe('a model that is disposed of in the middle of 64 predictions', function () {
  this.timeout(60_000)
  after(removeTemporaryFolders)

  it('settles each of them with a prediction or ERR_DISPOSED', async () => {
    const root = await temporaryFolder()
    await drawPhotos(root)
    const photo = (i: number) => join(root, 'train/rows', `${i % 8}.png`)
    using reference = await smallNetwork()
    const expected = await Promise.all(Array.from({ length: 8 }, (_, i) => reference.predict(photo(i))))
    const seen = { predicted: 0, disposed: 0 }
    for (let round = 0; round < 15; round++) {
      const model = await smallNetwork()
      const predictions = Array.from({ length: 64 }, (_, i) =>
        model.predict(photo(i), { batchSize: 1 + (i % 4) }),
      )
      const settled = Promise.allSettled(predictions)
      await sleep(Math.random() * 100)
      model.dispose()
      for (const [i, outcome] of (await settled).entries()) {
        if (outcome.status === 'fulfilled') {
          assert.equal(outcome.value[0]!.label, expected[i % 8]![0]!.label)
          seen.predicted++
        } else {
          const { reason } = outcome
          assert.ok(
            reason instanceof VisionTorchError && reason.code === 'ERR_DISPOSED',
            String(reason?.stack),
          )
          seen.disposed++
        }
      }
    }
    assert.ok(seen.predicted > 0 && seen.disposed > 0, JSON.stringify(seen))
  })
})
