import assert from 'node:assert/strict'
import { join } from 'node:path'
import autocannon from 'autocannon'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { ServeProcess, stopServing } from '../support/serve-process.js'
import { tinyModel } from '../support/tiny-model.js'

/** Of the server's resident memory, from a time when it has seen every kind of request often. */
const MOST_GROWTH = 32 << 20

const isLarge = process.env.VISIONTORCH_TEST_LARGE !== undefined
const requestCount = isLarge ? 100_000 : 2500
const ROUNDS = 10

describe('the memory of visiontorch serve', function () {
  this.timeout(isLarge ? 3_600_000 : 120_000)
  let served: ServeProcess
  before(async () => {
    buildDist()
    const checkpoint = join(await temporaryFolder(), 'best.pth')
    using model = await tinyModel()
    await model.save(checkpoint)
    served = await ServeProcess.start('--checkpoint', checkpoint, '--threads', '1', '--log', 'error')
  })
  after(async () => {
    await stopServing()
    await removeTemporaryFolders()
  })

  async function memory(): Promise<number> {
    const metrics = await (await fetch(`${served.url}/metrics`)).text()
    return Number(/^process_resident_memory_bytes (\d+)$/m.exec(metrics)![1])
  }

  it(`stays the same over ${requestCount.toLocaleString('en')} requests of every kind`, async () => {
    // Large enough that a body that is kept would be seen, and decoded in no time.
    const image = Buffer.concat([Buffer.from('P6 128 128 255\n'), Buffer.alloc(128 * 128 * 3, 90)])
    const post = (path: string, type: string, body: Buffer | string) => ({
      method: 'POST' as const,
      path,
      headers: { 'content-type': type },
      body,
    })
    const base64 = image.toString('base64')
    const form = `--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n`
    const requests = [
      post('/predict', 'image/x-portable-pixmap', image),
      post('/predict', 'application/json', JSON.stringify({ images: [base64, base64] })),
      post(
        '/predict',
        'multipart/form-data; boundary=b',
        Buffer.concat([Buffer.from(form), image, Buffer.from('\r\n--b--\r\n')]),
      ),
      post(
        '/v2/models/best/infer',
        'application/json',
        JSON.stringify({ inputs: [{ name: 'image', datatype: 'BYTES', shape: [1], data: [base64] }] }),
      ),
      post('/predict', 'image/png', image.subarray(20)), // no image: 422
    ]
    const sizes: number[] = []
    for (let round = 0; round < ROUNDS; round++) {
      const amount = requestCount / ROUNDS
      const result = await autocannon({ url: served.url, connections: 10, amount, requests, timeout: 60 })
      assert.deepEqual(
        [result.errors, result.timeouts, result['2xx'], result['4xx']],
        [0, 0, (amount * 4) / 5, amount / 5],
      )
      sizes.push(await memory())
    }
    const text = sizes.map(size => (size / 2 ** 20).toFixed(0)).join(', ')
    if (isLarge) console.log(`      resident memory in MiB: ${text}`)
    assert.ok(sizes.at(-1)! - sizes[ROUNDS / 2 - 1]! <= MOST_GROWTH, `MiB: ${text}`)
  })
})
