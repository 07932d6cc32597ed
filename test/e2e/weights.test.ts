import assert from 'node:assert/strict'
import { type SpawnOptions, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { behave, FlakyServer } from '../support/flaky-server.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'

const content = randomBytes(100_000)
const digits = createHash('sha256').update(content).digest('hex').slice(0, 8)

describe('visiontorch weights', () => {
  let server: FlakyServer
  let address: string
  let cache: string

  beforeEach(async () => {
    server = new FlakyServer(content)
    address = await server.start()
    cache = await temporaryFolder()
  })
  afterEach(async () => {
    await server.stop()
    await removeTemporaryFolders()
  })

  const run = (...args: string[]) => runWith({ NO_PROXY: '127.0.0.1' }, ...args)
  async function runWith(
    proxy: NodeJS.ProcessEnv,
    ...args: string[]
  ): Promise<{ code: number; out: string; err: string }> {
    const env = {
      ...process.env,
      ...proxy,
      NO_COLOR: '1',
      XDG_CACHE_HOME: cache,
      VISIONTORCH_WEIGHTS_URL: `${address}/mirror/`,
    }
    const options: SpawnOptions = { env, stdio: ['ignore', 'pipe', 'pipe'] }
    const child = spawn(process.execPath, ['--import', 'tsx', 'lib/cli/main.ts', 'weights', ...args], options)
    const code = new Promise<number>(resolve => child.on('exit', resolve))
    const [out, err] = await Promise.all([text(child.stdout!), text(child.stderr!)])
    return { code: await code, out, err }
  }

  it('list shows sizes and accuracies, or the whole manifest as JSON', async () => {
    const shown = await run('list', 'resnet50')
    assert.equal(shown.code, 0, shown.err)
    assert.match(shown.out, /^resnet50\.IMAGENET1K_V2 \* +97\.8 MiB +80\.858 +95\.434 +25,557,032$/m)
    const json = JSON.parse((await run('list', '--json')).out)
    const older = json.find(({ url }: { url: string }) => url.endsWith('/resnet50-19c8e357.pth'))
    assert.equal(older.container, 'tar')
  })

  it('pull downloads into the cache, prints only the path on stdout, and resumes after an interruption', async () => {
    const url = `${address}/mine-${digits}.pth`
    server.behaviours = [behave.status(503), behave.well]
    const { code, out, err } = await run('pull', url)
    assert.equal(code, 0, err)
    assert.equal(out, `${join(cache, 'visiontorch', 'weights', `mine-${digits}.pth`)}\n`)
    assert.equal(err, '')
    assert.deepEqual(await readFile(out.trim()), content)
    const again = await run('pull', url, '--json')
    assert.deepEqual(JSON.parse(again.out), [{ name: url, path: out.trim(), bytes: content.length }])
    assert.equal(server.requests.length, 2)
  })

  it('pull uses the mirror, and refuses a file with the wrong hash', async () => {
    const { code, out, err } = await run('pull', 'resnet18')
    assert.equal(code, 1)
    assert.equal(out, '')
    assert.match(
      err,
      /^error: .*\/mirror\/resnet18-f37072fd\.pth: expected a file whose SHA-256 starts with f37072fd, got/,
    )
    assert.equal(server.requests[0]!.url, '/mirror/resnet18-f37072fd.pth')
  })

  it('pull says what to do when the mirror lacks a file', async () => {
    server.behaviours = [behave.status(404)]
    const { code, err } = await run('pull', 'vgg11')
    assert.equal(code, 1)
    assert.match(
      err,
      /HTTP status 404 .*set VISIONTORCH_WEIGHTS_URL to a mirror .*, or put the file at \/.*vgg11-8a719046\.pth/,
    )
  })

  it('pull names a manually cached file of the wrong size', async () => {
    await mkdir(join(cache, 'visiontorch', 'weights'), { recursive: true })
    await writeFile(join(cache, 'visiontorch', 'weights', 'resnet18-f37072fd.pth'), 'half')
    const { code, err } = await run('pull', 'resnet18')
    assert.equal(code, 1)
    assert.match(err, /resnet18-f37072fd\.pth: expected 44\.661 MiB, got 4 bytes\. Remove the file/)
  })

  it('pull looks in the folder that --weights-dir names, and checks the hash of the file', async () => {
    const path = join(cache, 'squeezenet1_1-f364aa15.pth')
    await writeFile(path, 'something else')
    const { code, err } = await run('pull', 'squeezenet1_1-f364aa15.pth', '--weights-dir', cache)
    assert.equal(code, 1)
    assert.ok(err.includes(`${path}: expected a file whose SHA-256 starts with f364aa15`), err)
    const listed = await run('list', 'squeezenet1_1', '--weights-dir', cache)
    assert.match(listed.out, /^squeezenet1_1\.IMAGENET1K_V1_OLDER .*on this machine$/m)
  })

  it('treats a wrong name as wrong usage', async () => {
    const { code, err } = await run('pull', 'resnet19')
    assert.equal(code, 2)
    assert.match(err, /Did you mean 'resnet18'\?/)
  })

  it('pull goes through the proxy of HTTP_PROXY, except to the hosts of NO_PROXY', async () => {
    const asked: string[] = []
    const proxy = createServer().on('connect', (request, socket) => {
      asked.push(request.url!)
      const { port } = new URL(address)
      const there = connect(Number(port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        there.pipe(socket).pipe(there)
      })
      there.on('error', () => socket.destroy())
      socket.on('error', () => there.destroy())
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    try {
      const environment = {
        HTTP_PROXY: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
        NO_PROXY: '127.0.0.1',
      }
      // A host that only the proxy knows.
      const { code, out, err } = await runWith(
        environment,
        'pull',
        `http://weights.invalid/far-${digits}.pth`,
      )
      assert.equal(code, 0, err)
      assert.deepEqual(await readFile(out.trim()), content)
      assert.deepEqual(asked, ['weights.invalid:80'])
      const near = await runWith(environment, 'pull', `${address}/near-${digits}.pth`)
      assert.equal(near.code, 0, near.err)
      assert.equal(asked.length, 1)
    } finally {
      proxy.close()
      proxy.closeAllConnections()
    }
  })
})
