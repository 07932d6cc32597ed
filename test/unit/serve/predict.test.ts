import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { createHandler, type HandlerOptions, type Model, predict } from '../../../lib/index.js'
import { answerOf, closeServers, picture } from '../../support/serving.js'
import { onOneThread } from '../../support/small-network.js'
import { tinyModel } from '../../support/tiny-model.js'

describe('POST /predict', () => {
  onOneThread()
  let model: Model
  let images: Buffer[]
  before(async () => {
    model = await tinyModel()
    images = await Promise.all([picture(0), picture(1, 'jpeg'), picture(2)])
  })
  after(closeServers)

  const post = async (
    body: RequestInit['body'],
    headers: Record<string, string> = {},
    query = '',
    options?: HandlerOptions,
  ) => {
    const init = { method: 'POST', headers, ...(body !== undefined && { body }) }
    const response = await createHandler(
      model,
      options,
    )(new Request(`http://localhost/predict${query}`, init))
    return { status: response.status, headers: response.headers, body: await answerOf(response) }
  }
  const jpeg = { 'content-type': 'image/jpeg' }
  const json = (value: unknown, query = '', options?: HandlerOptions) =>
    post(JSON.stringify(value), { 'content-type': 'application/json' }, query, options)
  const form = (files: readonly (readonly [string, Uint8Array])[], fields: Record<string, string> = {}) => {
    const data = new FormData()
    for (const [name, bytes] of files) data.append('files', new File([Buffer.from(bytes)], name))
    for (const [name, value] of Object.entries(fields)) data.append(name, value)
    return data
  }

  it('predicts the same as predict(), from the body, a form and base64', async () => {
    const expected = await predict(model, images[1]!)
    const raw = await post(images[1]!, jpeg)
    assert.equal(raw.status, 200)
    assert.deepEqual(raw.body, { model: 'default', version: 1, predictions: expected })
    const multipart = await post(form([['bee.jpg', images[1]!]]))
    assert.deepEqual(multipart.body.results, [{ file: 'bee.jpg', predictions: expected }])
    const base64 = images[1]!.toString('base64')
    assert.deepEqual((await json({ image: base64 })).body.predictions, expected)
    assert.deepEqual((await json({ image: `data:image/jpeg;base64,${base64}` })).body.predictions, expected)
    assert.deepEqual((await json({ image: images[1]!.toString('base64url') })).body.predictions, expected)
    assert.deepEqual((await json({ images: [base64] })).body.results, [{ predictions: expected }])
  })

  it('gives back the names of files, with quotes and letters of any script', async () => {
    const { body } = await post(form([['a "b" ü 猫.png', images[0]!]]))
    assert.equal(body.results[0]!.file, 'a "b" ü 猫.png')
  })

  it('answers for each file of a form in order, even for one that is not an image', async () => {
    const { status, body } = await post(
      form([
        ['a.png', images[0]!],
        ['broken.png', Buffer.from('no image')],
        ['c.png', images[2]!],
      ]),
    )
    assert.equal(status, 200)
    assert.deepEqual(
      body.results.map(result => result.file),
      ['a.png', 'broken.png', 'c.png'],
    )
    assert.equal(body.results[1]!.error.code, 'ERR_IMAGE_DECODE')
    assert.deepEqual(body.results[2]!.predictions, await predict(model, images[2]!))
  })

  it('reads topK and minScore from the query, the form and the JSON', async () => {
    assert.equal((await post(images[0]!, jpeg, '?topK=1')).body.predictions.length, 1)
    assert.equal(
      (await post(form([['a', images[0]!]], { topK: '2' }))).body.results[0]!.predictions.length,
      2,
    )
    const image = images[0]!.toString('base64')
    assert.equal((await json({ image, topK: 1 })).body.predictions.length, 1)
    assert.deepEqual((await json({ image, minScore: 1 })).body.predictions, [])
    assert.equal((await json({ image, minScore: 0 })).body.predictions.length, 3)
  })

  it('merges concurrent requests into batches', async () => {
    const handler = createHandler(model)
    const counts: number[] = []
    model.batchListeners.add(count => counts.push(count))
    const body = images[0]!
    const requests = Array.from({ length: 32 }, () =>
      handler(new Request('http://localhost/predict', { method: 'POST', body, headers: jpeg })),
    )
    for (const response of await Promise.all(requests)) assert.equal(response.status, 200)
    model.batchListeners.clear()
    assert.equal(
      counts.reduce((a, b) => a + b),
      32,
    )
    assert.ok(counts.length < 32, `${counts.length} batches`)
  })

  it('chooses among several models by name', async () => {
    const other = await tinyModel({ seed: 2 })
    const handler = createHandler({ first: model, second: other })
    const ask = async (query: string) => {
      const request = new Request(`http://localhost/predict${query}`, {
        method: 'POST',
        body: images[0]!,
        headers: jpeg,
      })
      const response = await handler(request)
      return { status: response.status, body: await answerOf(response) }
    }
    assert.deepEqual((await ask('?model=second')).body.predictions, await predict(other, images[0]!))
    const unknown = await ask('?model=../../etc/passwd')
    assert.equal(unknown.status, 404)
    assert.match(unknown.body.error.message, /The models are first, second/)
    const unnamed = await ask('')
    assert.equal(unnamed.status, 400)
    assert.match(unnamed.body.error.message, /one of first, second/)
  })

  it('lets several models take turns, so that a flood for one does not delay the other', async () => {
    const other = await tinyModel({ seed: 2 })
    const handler = createHandler({ busy: model, other }, { batchSize: 4 })
    const order: string[] = []
    const ask = async (name: string) => {
      const url = `http://localhost/predict?model=${name}`
      await handler(new Request(url, { method: 'POST', body: images[0]!, headers: jpeg }))
      order.push(name)
    }
    await Promise.all([...Array.from({ length: 200 }, () => ask('busy')), ask('other')])
    assert.ok(order.indexOf('other') < 100, `after ${order.indexOf('other')} of 200`)
  })

  describe('refuses', () => {
    const refusals: [string, () => ReturnType<typeof post>, number, string][] = [
      ['an image that cannot be decoded', () => post('no image', jpeg), 422, 'ERR_IMAGE_DECODE'],
      [
        'a form whose only image cannot be decoded',
        () => post(form([['a', Buffer.from('x')]])),
        422,
        'ERR_IMAGE_DECODE',
      ],
      ['no body', () => post(undefined), 400, 'ERR_BAD_REQUEST'],
      ['an empty image', () => post('', jpeg), 400, 'ERR_BAD_REQUEST'],
      ['an unknown type', () => post('x', { 'content-type': 'text/plain' }), 415, 'ERR_MEDIA_TYPE'],
      ['a compressed body', () => post('x', { ...jpeg, 'content-encoding': 'gzip' }), 415, 'ERR_MEDIA_TYPE'],
      [
        'a body that is too long',
        () => post(images[0]!, jpeg, '', { maxBodyBytes: 100 }),
        413,
        'ERR_TOO_LARGE',
      ],
      [
        'an image of too many pixels (PNG)',
        () => post(images[0]!, jpeg, '', { maxPixels: 1599 }),
        413,
        'ERR_IMAGE_DECODE',
      ],
      [
        'an image of too many pixels (JPEG)',
        () => post(images[1]!, jpeg, '', { maxPixels: 1599 }),
        413,
        'ERR_IMAGE_DECODE',
      ],
      [
        'too many files',
        () => post(form([0, 1, 2].map(i => [`${i}`, images[i]!] as const)), {}, '', { maxFiles: 2 }),
        413,
        'ERR_TOO_LARGE',
      ],
      ['a form of a million parts', () => post(parts(1_000_000), multipart('b')), 413, 'ERR_TOO_LARGE'],
      [
        'a truncated form',
        () => post('--b\r\nContent-Disposition: form-data; name="f', multipart('b')),
        400,
        'ERR_BAD_REQUEST',
      ],
      [
        'a form without a boundary',
        () => post('x', { 'content-type': 'multipart/form-data' }),
        400,
        'ERR_BAD_REQUEST',
      ],
      ['a form without files', () => post(form([], { topK: '1' })), 400, 'ERR_BAD_REQUEST'],
      [
        'a part of endless headers',
        () => post(`--b\r\n${'x: y\r\n'.repeat(1 << 20)}`, multipart('b')),
        400,
        'ERR_BAD_REQUEST',
      ],
      [
        'a body that is not JSON',
        () => post('{', { 'content-type': 'application/json' }),
        400,
        'ERR_BAD_REQUEST',
      ],
      ['JSON without an image', () => json({ topK: 1 }), 400, 'ERR_BAD_REQUEST'],
      ['JSON with both image and images', () => json({ image: 'AAAA', images: [] }), 400, 'ERR_BAD_REQUEST'],
      ['JSON of no images', () => json({ images: [] }), 400, 'ERR_BAD_REQUEST'],
      [
        'JSON nested a million deep',
        () => post('['.repeat(1e6), { 'content-type': 'application/json' }),
        413,
        'ERR_TOO_LARGE',
      ],
      ['base64 with other characters', () => json({ image: 'AA*A' }), 400, 'ERR_BAD_REQUEST'],
      ['truncated base64', () => json({ image: 'AAAAA' }), 400, 'ERR_BAD_REQUEST'],
      ['an image that is a number', () => json({ image: 5 }), 400, 'ERR_BAD_REQUEST'],
      ['a path as the image', () => json({ image: '/etc/passwd' }), 422, 'ERR_IMAGE_DECODE'],
      ['a URL as the image', () => json({ image: 'file:///etc/passwd' }), 400, 'ERR_BAD_REQUEST'],
      ['an unknown field', () => json({ image: 'AAAA', topk: 1 }), 400, 'ERR_BAD_REQUEST'],
      ['a topK of 0', () => post(images[0]!, jpeg, '?topK=0'), 400, 'ERR_BAD_REQUEST'],
      ['a minScore above 1', () => post(images[0]!, jpeg, '?minScore=2'), 400, 'ERR_BAD_REQUEST'],
      [
        'a minScore that is not a number',
        () => post(images[0]!, jpeg, '?minScore=x'),
        400,
        'ERR_BAD_REQUEST',
      ],
      [
        'a wrong origin',
        () => post(images[0]!, { ...jpeg, origin: 'https://evil.example' }),
        403,
        'ERR_FORBIDDEN',
      ],
    ]
    const multipart = (boundary: string) => ({ 'content-type': `multipart/form-data; boundary=${boundary}` })
    const parts = (count: number) => '--b\r\n\r\n'.repeat(count)
    for (const [what, ask, status, code] of refusals) {
      it(`${what} with ${status}`, async () => {
        const { status: got, body, headers } = await ask()
        assert.deepEqual([got, body.error.code], [status, code], JSON.stringify(body).slice(0, 300))
        assert.ok(body.error.message.length > 10 && body.error.message.length < 400)
        assert.equal(headers.get('content-type'), 'application/json')
      })
    }

    it('other methods with 405, and other paths with 404', async () => {
      const handler = createHandler(model)
      const get = await handler(new Request('http://localhost/predict'))
      assert.deepEqual([get.status, get.headers.get('allow')], [405, 'POST'])
      const other = await handler(new Request('http://localhost/predict/../../etc/passwd'))
      assert.equal(other.status, 404)
    })

    it('requests that exceed the queue with 429 and Retry-After, and accepts requests again afterwards', async () => {
      const handler = createHandler(model, { maxQueue: 2 })
      const ask = () =>
        handler(new Request('http://localhost/predict', { method: 'POST', body: images[0]!, headers: jpeg }))
      const responses = await Promise.all([ask(), ask(), ask()])
      assert.deepEqual(responses.map(({ status }) => status).sort(), [200, 200, 429])
      const refused = responses.find(({ status }) => status === 429)!
      assert.equal(refused.headers.get('retry-after'), '1')
      assert.equal((await answerOf(refused)).error.code, 'ERR_BUSY')
      assert.equal((await ask()).status, 200)
    })

    it('requests that take too long with 503, such as a body that never ends', async () => {
      const body = new ReadableStream({ pull: () => sleep(1000) })
      const request = new Request('http://localhost/predict', {
        method: 'POST',
        body,
        duplex: 'half',
        headers: jpeg,
      } as RequestInit)
      const response = await createHandler(model, { timeout: 50 })(request)
      assert.equal(response.status, 503)
      assert.equal((await answerOf(response)).error.code, 'ERR_TIMEOUT')
    })

    it('an endless body once it is too long', async () => {
      let sent = 0
      const body = new ReadableStream({
        pull(controller) {
          sent++
          controller.enqueue(new Uint8Array(1000))
        },
      })
      const request = new Request('http://localhost/predict', {
        method: 'POST',
        body,
        duplex: 'half',
        headers: jpeg,
      } as RequestInit)
      const response = await createHandler(model, { maxBodyBytes: 10_000 })(request)
      assert.equal(response.status, 413)
      assert.ok(sent < 20)
    })
  })

  it('does not compute for a client that has disconnected', async () => {
    const handler = createHandler(model)
    let computed = 0
    model.batchListeners.add(count => {
      computed += count
    })
    const gone = new AbortController()
    const ask = (signal?: AbortSignal) =>
      handler(
        new Request('http://localhost/predict', {
          method: 'POST',
          body: images[0]!,
          headers: jpeg,
          ...(signal && { signal }),
        }),
      )
    const abandoned = Array.from({ length: 100 }, () => ask(gone.signal))
    gone.abort()
    await Promise.all(abandoned)
    assert.equal((await ask()).status, 200)
    model.batchListeners.clear()
    assert.equal(computed, 1)
  })

  it('requires the key if one is set', async () => {
    const options = { apiKey: ['first-key', 'second-key'] }
    for (const headers of [{ authorization: 'Bearer second-key' }, { 'x-api-key': 'first-key' }])
      assert.equal((await post(images[0]!, { ...jpeg, ...headers }, '', options)).status, 200)
    for (const headers of [
      {},
      { authorization: 'Bearer first' },
      { 'x-api-key': 'first-key2' },
      { authorization: 'Basic second-key' },
    ]) {
      const refused = await post(images[0]!, { ...jpeg, ...headers }, '', options)
      assert.deepEqual([refused.status, refused.body.error.code], [401, 'ERR_UNAUTHORIZED'])
      assert.equal(refused.headers.get('www-authenticate'), 'Bearer')
    }
  })

  it('allows pages of its own origin and of those in cors', async () => {
    const cors = ['https://example.com']
    const allowed = await post(images[0]!, { ...jpeg, origin: 'https://example.com' }, '', { cors })
    assert.equal(allowed.headers.get('access-control-allow-origin'), 'https://example.com')
    assert.equal((await post(images[0]!, { ...jpeg, origin: 'http://localhost' })).status, 200)
    const headers = { origin: 'https://example.com', 'access-control-request-method': 'POST' }
    const preflight = await createHandler(model, { cors })(
      new Request('http://localhost/predict', { method: 'OPTIONS', headers }),
    )
    assert.equal(preflight.status, 204)
    assert.match(preflight.headers.get('access-control-allow-headers')!, /content-type/)
  })

  it("sends security headers and the request's id, which a client may choose", async () => {
    const { headers } = await post(images[0]!, { ...jpeg, 'x-request-id': 'abc-1' })
    assert.equal(headers.get('x-request-id'), 'abc-1')
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
    assert.match(headers.get('content-security-policy')!, /default-src 'none'/)
    const { headers: other } = await post(images[0]!, { ...jpeg, 'x-request-id': 'a\tb' })
    assert.match(other.get('x-request-id')!, /^[\da-f-]{36}$/)
  })

  it('keeps the cause of a failure for the log', async () => {
    const lines: [string, Record<string, unknown>][] = []
    const write = (level: string) => (fields: object) =>
      void lines.push([level, fields as Record<string, unknown>])
    const logger = { info: write('info'), warn: write('warn'), error: write('error') }
    model.checkGivesProbabilities = () => {
      throw new Error('a secret path')
    }
    const { status, body, headers } = await post(images[0]!, jpeg, '', { logger })
    Reflect.deleteProperty(model, 'checkGivesProbabilities')
    assert.equal(status, 500)
    assert.ok(!JSON.stringify(body).includes('secret'))
    assert.equal(body.error.requestId, headers.get('x-request-id'))
    const [failure, request] = lines
    assert.match(String(failure![1].err), /a secret path/)
    assert.equal(failure![1].requestId, body.error.requestId)
    assert.deepEqual([request![0], request![1].status, request![1].path], ['info', 500, '/predict'])
  })
})

describe('createHandler', () => {
  it('refuses wrong arguments', async () => {
    const model = await tinyModel()
    const wrong: [unknown, unknown?][] = [
      [undefined],
      [{}],
      [{ a: 1 }],
      [{ '../a': model }],
      [model, { topK: 5 }],
      [model, { maxFiles: 300 }],
      [model, { timeout: 0 }],
      [model, { apiKey: '' }],
      [model, { cors: ['example.com'] }],
      [model, { basePath: 'api' }],
      [model, { logger: {} }],
    ]
    for (const args of wrong)
      assert.throws(
        () => createHandler(...(args as [Model])),
        { code: 'ERR_INVALID_ARGUMENT' },
        JSON.stringify(args[1]),
      )
  })
})
