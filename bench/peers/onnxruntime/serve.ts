// ONNX Runtime behind the HTTP library that visiontorch uses, too.
import { type ServerType, serve } from '@hono/node-server'
import { Hono } from 'hono'
import { answer } from '../serve.js'
import { classify, openSession } from './session.js'

const session = await openSession()
const app = new Hono()
app.post('/predict', async context => {
  const form = await context.req.parseBody()
  const image = Buffer.from(await (form.image as File).arrayBuffer())
  return context.json({ index: await classify(session, image) })
})
const server: ServerType = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }, ({ port }) =>
  answer({ port }),
)
process.stdin.resume().on('end', () => {
  server.close()
  process.exit()
})
