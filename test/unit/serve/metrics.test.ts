import assert from 'node:assert/strict'
import { createHandler, type Handler, type Model } from '../../../lib/index.js'
import { picture } from '../../support/serving.js'
import { onOneThread } from '../../support/small-network.js'
import { tinyModel } from '../../support/tiny-model.js'

describe('GET /metrics of two handlers in one process', () => {
  onOneThread()
  let model: Model
  let image: Buffer
  before(async () => {
    model = await tinyModel()
    image = await picture(1)
  })

  const predict = async (handler: Handler) => {
    const response = await handler(new Request('http://localhost/predict', { method: 'POST', body: image }))
    assert.equal(response.status, 200)
  }
  async function metric(handler: Handler, name: string): Promise<number> {
    const text = await (await handler(new Request('http://localhost/metrics'))).text()
    const line = text.split('\n').find(line => line.startsWith(name))
    return line === undefined ? 0 : Number(line.split(' ').at(-1))
  }
  const requests = 'visiontorch_requests_total{route="/predict",method="POST",status="200"}'
  const images = 'visiontorch_images_total{model="default"}'

  it('counts the requests of each, and the images that their model computed for both', async () => {
    const [first, second] = [createHandler(model), createHandler(model)]
    await predict(first)
    await predict(second)
    await predict(second)
    assert.deepEqual([await metric(first, requests), await metric(second, requests)], [1, 2])
    // The second one counts from its own first request.
    assert.deepEqual([await metric(first, images), await metric(second, images)], [3, 2])
  })

  it('keeps the figures of different models apart', async () => {
    using other = await tinyModel()
    const [first, second] = [createHandler(model), createHandler(other)]
    await predict(first)
    await predict(second)
    assert.deepEqual([await metric(first, images), await metric(second, images)], [1, 1])
    assert.ok((await metric(second, 'process_resident_memory_bytes')) > 0)
  })
})
