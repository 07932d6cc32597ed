import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import express from 'express'
import fastify from 'fastify'
import { Hono } from 'hono'
import { createHandler, type Handler, type Model, predict, toNodeListener } from '../../../lib/index.js'
import { answerOf, closeServers, listen, picture } from '../../support/serving.js'
import { onOneThread } from '../../support/small-network.js'
import { tinyModel } from '../../support/tiny-model.js'

describe('a handler mounted', () => {
  onOneThread()
  let model: Model
  let image: Buffer
  before(async () => {
    model = await tinyModel()
    image = await picture(1)
  })
  after(closeServers)

  async function check(url: string): Promise<void> {
    const predictions = await predict(model, image)
    const raw = await fetch(`${url}/predict`, {
      method: 'POST',
      body: image,
      headers: { 'content-type': 'image/png' },
    })
    assert.equal(raw.status, 200)
    assert.deepEqual((await answerOf(raw)).predictions, predictions)
    const form = new FormData()
    form.append('file', new Blob([image]), 'a.png')
    const multipart = await fetch(`${url}/predict?topK=1`, { method: 'POST', body: form })
    assert.deepEqual((await answerOf(multipart)).results, [
      { file: 'a.png', predictions: predictions.slice(0, 1) },
    ])
    const chunked = await fetch(`${url}/predict`, {
      method: 'POST',
      body: new Blob([image]).stream(),
      duplex: 'half',
      headers: { 'content-type': 'image/png' },
    } as RequestInit)
    assert.deepEqual((await answerOf(chunked)).predictions, predictions)
    assert.equal((await fetch(`${url}/none`)).status, 404)
  }

  it('in node:http', async () => {
    await check(await listen(toNodeListener(createHandler(model))))
  })

  it('in Hono', async () => {
    const app = new Hono()
    app.mount('/vision', createHandler(model))
    await check(`${await listen(toNodeListener(async request => app.fetch(request)))}/vision`)
  })

  it('in Express', async () => {
    const app = express()
    app.use('/vision', toNodeListener(createHandler(model)))
    await check(`${await listen(app)}/vision`)
  })

  it('in Fastify', async () => {
    const app = fastify()
    const listener = toNodeListener(createHandler(model, { basePath: '/vision' }))
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', (_request, _payload, done) => done(null))
    app.all('/vision/*', (request, reply) => {
      reply.hijack()
      return listener(request.raw, reply.raw)
    })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    await check(`${url}/vision`)
    await app.close()
  })

  it('in a framework that passes full paths, such as Next.js', async () => {
    const handler = createHandler(model, { basePath: '/api/vision' })
    const ask = (path: string) =>
      handler(new Request(`http://localhost${path}`, { method: 'POST', body: image }))
    assert.equal((await ask('/api/vision/predict')).status, 200)
    assert.equal((await ask('/predict')).status, 404)
  })

  it('aborts the request of a client that disconnects', async () => {
    const aborted: string[] = []
    const handler: Handler = async request => {
      await once(request.signal, 'abort')
      aborted.push(request.method)
      return new Response()
    }
    const { port } = new URL(await listen(toNodeListener(handler)))
    const socket = connect(Number(port), '127.0.0.1')
    socket.write('POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n')
    await sleep(50)
    socket.destroy()
    for (let i = 0; i < 100 && aborted.length === 0; i++) await sleep(20)
    assert.deepEqual(aborted, ['POST'])
  })

  it("treats an upload that breaks off as the client's fault", async () => {
    const statuses: unknown[] = []
    const logger = {
      info: (fields: object) => void statuses.push((fields as { status: number }).status),
      warn() {},
      error: (fields: object) => void statuses.push(fields),
    }
    const { port } = new URL(await listen(toNodeListener(createHandler(model, { logger }))))
    for (const framing of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.write(
        `POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n${framing}\r\n\r\n5\r\nhello`,
      )
      await sleep(100)
      socket.destroy()
    }
    for (let i = 0; i < 100 && statuses.length < 2; i++) await sleep(20)
    for (const status of statuses) assert.ok(status === 400 || status === 499, String(status))
    assert.equal(statuses.length, 2)
  })

  it('answers before a body that is too long has arrived, and ends the connection', async () => {
    const { port } = new URL(await listen(toNodeListener(createHandler(model, { maxBodyBytes: 1000 }))))
    for (const framing of ['Content-Length: 1000000000', 'Transfer-Encoding: chunked']) {
      const socket = connect(Number(port), '127.0.0.1')
      socket.on('error', () => {}) // the server resets it
      let answer = ''
      socket.on('data', data => {
        answer += data
      })
      socket.write(
        `POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n${framing}\r\n\r\n`,
      )
      const closed = once(socket, 'close')
      const chunk = framing.startsWith('T') ? `800\r\n${'x'.repeat(0x800)}\r\n` : 'x'.repeat(0x800)
      const sending = setInterval(() => socket.write(chunk), 5)
      const ended = await Promise.race([closed.then(() => true), sleep(10_000, false)])
      clearInterval(sending)
      socket.destroy()
      assert.match(answer, /^HTTP\/1.1 413 /)
      assert.ok(ended, 'the connection stays open')
    }
  })
})

describe('toNodeListener', () => {
  it('refuses what is not a handler', () => {
    assert.throws(() => toNodeListener({} as Handler), { code: 'ERR_INVALID_ARGUMENT' })
  })
})
