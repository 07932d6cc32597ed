import assert from 'node:assert/strict'
import { join } from 'node:path'
import { type EpochMetrics, train } from '../../lib/index.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { onOneThread, smallNetwork } from '../support/small-network.js'

describe('a clock that jumps', function () {
  this.timeout(60_000)
  onOneThread()
  const { now } = Date
  afterEach(() => {
    Date.now = now
  })
  after(removeTemporaryFolders)

  it('changes neither the weights nor the reported durations', async () => {
    const root = await temporaryFolder()
    await drawPhotos(join(root, 'photos'))
    const run = async (directory: string) => {
      const model = await smallNetwork()
      const data = join(root, 'photos')
      return train(model, { data, directory: join(root, directory), epochs: 2, batchSize: 8, inputSize: 32 })
    }
    const steady = await run('steady')
    let calls = 0
    // A day forward, two days back, three days forward, ...
    Date.now = () => now() + 86_400_000 * ++calls * (calls % 2 === 0 ? -1 : 1)
    const jumping = await run('jumping')
    const learned = ({ history }: { history: EpochMetrics[] }) =>
      history.map(({ seconds, imagesPerSecond, ...rest }) => rest)
    assert.deepEqual(learned(jumping), learned(steady))
    assert.ok(jumping.seconds > 0 && jumping.seconds < 60)
    for (const { seconds, imagesPerSecond } of jumping.history) {
      assert.ok(seconds > 0 && seconds < 60 && imagesPerSecond > 0 && Number.isFinite(imagesPerSecond))
    }
  })
})
