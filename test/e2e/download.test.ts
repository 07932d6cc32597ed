import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type DownloadOptions, download, redirected } from '../../lib/download/download.js'
import { type Behaviour, behave, FlakyServer } from '../support/flaky-server.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { skip } from '../support/skip.js'

const content = randomBytes(300_000)
const sha256 = createHash('sha256').update(content).digest('hex')

describe('a download', () => {
  let server: FlakyServer
  let url: string
  let folder: string
  let destination: string
  const noProxy = process.env.NO_PROXY

  before(() => {
    process.env.NO_PROXY = '127.0.0.1'
  })
  after(() => {
    if (noProxy === undefined) delete process.env.NO_PROXY
    else process.env.NO_PROXY = noProxy
  })
  beforeEach(async () => {
    server = new FlakyServer(content)
    url = `${await server.start()}/file.pth`
    folder = await temporaryFolder()
    destination = join(folder, 'file.pth')
  })
  afterEach(async () => {
    await server.stop()
    await removeTemporaryFolders()
  })

  const get = (options: DownloadOptions = {}): Promise<void> =>
    download(url, destination, {
      sha256,
      retryDelay: 1,
      stallTimeout: 300,
      remedy: 'ask a friend',
      ...options,
    })

  const cutAt = (position: number) =>
    behave.cutAt(position, async () => {
      while (((await stat(`${destination}.part`).catch(() => undefined))?.size ?? 0) < position)
        await setTimeout(1)
    })

  const isComplete = async (): Promise<void> => {
    assert.deepEqual(await readFile(destination), content)
    assert.deepEqual(await readdir(folder), ['file.pth'])
  }

  it('arrives complete, reports its progress, and is not requested twice', async () => {
    const seen: number[] = []
    await get({
      onProgress: ({ received, total }) => {
        assert.equal(total, content.length)
        seen.push(received)
      },
    })
    await isComplete()
    assert.equal(seen.at(-1), content.length)
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    )
    await get()
    assert.equal(server.requests.length, 1)
  })

  it('checks the first digits of a hash, and works without one and without a length', async () => {
    server.length = false
    await get({ sha256: sha256.slice(0, 8).toUpperCase() })
    await isComplete()
    await download(url, `${destination}2`)
    assert.deepEqual(await readFile(`${destination}2`), content)
  })

  describe('whose connection is cut', () => {
    it('continues where it was, as often as there is progress', async () => {
      server.behaviours = [10_000, 20_000, 30_000, 40_000, 50_000, 60_000].map(cutAt)
      server.behaviours.push(behave.well)
      await get({ retries: 1 })
      await isComplete()
      assert.deepEqual(server.starts, [0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000])
      assert.equal(server.requests[1]!.headers['if-range'], '"one"')
    })

    it('fails when there is no more progress, and continues in the next run', async () => {
      server.behaviours = [cutAt(10_000)]
      await assert.rejects(get(), {
        code: 'ERR_DOWNLOAD',
        message: `${url}: the connection was cut after 10000 of 300000 bytes. Run it again to continue from there`,
      })
      assert.equal(existsSync(destination), false)
      server.behaviours = [behave.well]
      await get()
      await isComplete()
      assert.equal(server.starts.at(-1), 10_000)
    })

    it('starts again if the server ignores ranges', async () => {
      server.behaviours = [cutAt(10_000), behave.ignoreRange]
      await get()
      await isComplete()
    })

    it('starts again if the server answers with another part', async () => {
      server.behaviours = [cutAt(10_000), behave.wrongRange, behave.well]
      await get()
      await isComplete()
    })

    it('gives up if the server keeps answering with another part', async () => {
      server.behaviours = [behave.wrongRange]
      await assert.rejects(get(), /sent a different part than requested/)
    })

    it('starts again if the file has changed in the meantime', async () => {
      server.behaviours = [cutAt(10_000)]
      await assert.rejects(get())
      server.content = randomBytes(200_000)
      server.etag = '"two"'
      server.behaviours = [behave.well]
      await get({ sha256: createHash('sha256').update(server.content).digest('hex') })
      assert.deepEqual(await readFile(destination), server.content)
    })

    it('is not continued without a validator and without a hash', async () => {
      server.etag = undefined
      server.behaviours = [cutAt(10_000)]
      await assert.rejects(get({ sha256: undefined, retries: 0 }))
      server.behaviours = [behave.well]
      await get({ sha256: undefined })
      assert.equal(server.starts.at(-1), 0)
      await isComplete()
    })

    it('uses the date of a file as its validator', async () => {
      server.etag = undefined
      server.lastModified = 'Wed, 21 Oct 2015 07:28:00 GMT'
      server.behaviours = [cutAt(10_000), behave.well]
      await get({ sha256: undefined })
      assert.equal(server.requests[1]!.headers['if-range'], server.lastModified)
      await isComplete()
    })

    it('is complete if only the renaming was missing', async () => {
      await writeFile(`${destination}.part`, content)
      await writeFile(`${destination}.part.json`, JSON.stringify({ url, validator: '"one"' }))
      await get()
      await isComplete()
      assert.deepEqual(server.starts, [content.length])
    })

    it('starts from scratch if the earlier part was damaged', async () => {
      await writeFile(`${destination}.part`, randomBytes(5000))
      await writeFile(`${destination}.part.json`, JSON.stringify({ url, validator: '"one"' }))
      await get()
      await isComplete()
      assert.deepEqual(server.starts, [5000, 0])
    })
  })

  it('that stalls is resumed', async () => {
    server.behaviours = [behave.stallAt(10_000), behave.well]
    await get()
    await isComplete()
    assert.deepEqual(server.starts, [0, 10_000])
  })

  it('that stalls permanently, or is never answered, fails', async () => {
    server.behaviours = [behave.stallAt(10_000)]
    await assert.rejects(get({ retries: 1 }), {
      code: 'ERR_DOWNLOAD',
      message: /stalled: no more data came after 10000 of 300000 bytes/,
    })
    server.behaviours = [behave.neverAnswer]
    await assert.rejects(download(url, `${destination}2`, { stallTimeout: 300 }), /does not answer/)
  })

  for (const [status, message, requests] of [
    [404, /HTTP status 404 \(Not Found\): there is no such file\. Check the URL, or ask a friend/, 1],
    [403, /HTTP status 403 \(Forbidden\): access is denied/, 1],
    [500, /HTTP status 500 .*the server has a problem\. Try again later/, 4],
  ] as const) {
    it(`that is answered with ${status} says so, after ${requests} request(s)`, async () => {
      server.behaviours = [behave.status(status)]
      await assert.rejects(get(), { code: 'ERR_DOWNLOAD', message })
      assert.equal(server.requests.length, requests)
      assert.deepEqual(await readdir(folder), [])
    })
  }

  it('that is answered with 503 temporarily is repeated', async () => {
    server.behaviours = [behave.status(503), behave.status(503), behave.well]
    await get()
    await isComplete()
  })

  describe('that is too large', () => {
    it('does not start if the server announces the size', async () => {
      await assert.rejects(get({ maxBytes: content.length - 1 }), {
        code: 'ERR_DOWNLOAD',
        message: /expected at most 299999 bytes, but the server sends 300000 or more\. Nothing was kept/,
      })
      await get({ maxBytes: content.length })
      await isComplete()
    })

    it('is stopped if the server does not announce the size', async () => {
      server.length = false
      await assert.rejects(
        get({ maxBytes: 100_000 }),
        /expected at most 100000 bytes, but the server sends \d+ or more/,
      )
      assert.equal(existsSync(`${destination}.part`), false)
    })
  })

  describe('that is redirected', () => {
    const to =
      (location: () => string): Behaviour =>
      (_request, response) => {
        response.writeHead(302, { location: location() })
        response.end()
      }

    it('follows redirects, including relative ones', async () => {
      server.behaviours = [to(() => `${url}?again`), to(() => '/elsewhere'), behave.well]
      await get()
      await isComplete()
      assert.deepEqual(
        server.requests.map(request => request.url),
        ['/file.pth', '/file.pth?again', '/elsewhere'],
      )
    })

    it('endlessly is refused', async () => {
      server.behaviours = [to(() => url)]
      await assert.rejects(get(), { code: 'ERR_DOWNLOAD', message: /more than 5 redirects/ })
      assert.equal(server.requests.length, 6)
    })

    it('to anything but a web address is refused', async () => {
      for (const location of ['file:///etc/passwd', 'ftp://127.0.0.1/x', 'data:,x']) {
        server.behaviours = [to(() => location)]
        await assert.rejects(get(), { code: 'ERR_DOWNLOAD', message: /which is not https/ })
      }
    })

    it('from https to http is refused', () => {
      assert.equal(redirected('https://a.org/x', '//b.org/y'), 'https://b.org/y')
      assert.equal(redirected('http://a.org/x', 'https://b.org/y'), 'https://b.org/y')
      assert.throws(() => redirected('https://a.org/x', 'http://a.org/x'), {
        code: 'ERR_DOWNLOAD',
        message: /^https:\/\/a\.org\/x: the server redirects to http:\/\/a\.org\/x, which is not https/,
      })
    })
  })

  it('with unexpected content is refused by its hash and not kept', async () => {
    server.content = randomBytes(1000)
    await assert.rejects(get(), {
      code: 'ERR_DOWNLOAD_HASH',
      message: new RegExp(
        `expected a file whose SHA-256 starts with ${sha256}, got [0-9a-f]{64}\\. It was changed`,
      ),
    })
    assert.equal(existsSync(destination), false)
    assert.equal(existsSync(`${destination}.part`), false)
  })

  it('that is already there is hashed on request', async () => {
    await writeFile(destination, 'something else')
    await get()
    await assert.rejects(get({ verify: true }), { code: 'ERR_DOWNLOAD_HASH', message: /Remove the file/ })
    assert.equal(server.requests.length, 0)
  })

  it('from anything but a web address is refused', async () => {
    const refused = { code: 'ERR_INVALID_ARGUMENT', message: /url: expected an http\(s\) URL/ }
    await assert.rejects(download('ftp://example.org/file.pth', destination), refused)
    await assert.rejects(download('file.pth', destination), refused)
  })

  it('from a host that does not exist blames the name', async () => {
    await assert.rejects(
      download('http://weights.invalid/file.pth', destination, { remedy: 'ask a friend' }),
      {
        code: 'ERR_DOWNLOAD',
        message: /the host name weights\.invalid cannot be resolved \(DNS, E\w+\)\. .*, or ask a friend$/,
      },
    )
  })

  it('from a port without a server says that the connection was refused', async () => {
    const free = createServer().listen(0, '127.0.0.1')
    await once(free, 'listening')
    const { port } = free.address() as { port: number }
    free.close()
    await once(free, 'close')
    await assert.rejects(download(`http://127.0.0.1:${port}/x`, destination), {
      code: 'ERR_DOWNLOAD',
      message: new RegExp(`127\\.0\\.0\\.1:${port} refused the connection`),
    })
  })

  it('onto a full disk says so', async function () {
    if (!existsSync('/dev/full')) skip(this, '/dev/full does not exist')
    await symlink('/dev/full', `${destination}.part`)
    await assert.rejects(get(), {
      code: 'ERR_FILE_WRITE',
      message: /the disk is full\. Free some space/,
    })
  })

  it('that cannot fit on the disk does not start', async () => {
    server.behaviours = [
      (_request, response) => {
        response.writeHead(200, { 'content-length': 2 ** 52 })
        response.write('x')
      },
    ]
    await assert.rejects(get({ maxBytes: 2 ** 53 }), { code: 'ERR_FILE_WRITE', message: /the disk is full/ })
  })

  it('into a folder that is missing says so', async () => {
    await assert.rejects(download(url, join(folder, 'none', 'file')), {
      code: 'ERR_FILE_WRITE',
      message: /its directory does not exist/,
    })
  })

  it('into a folder that is read-only says so', async function () {
    if (process.getuid?.() === 0) skip(this, 'root may write anywhere')
    await mkdir(join(folder, 'fixed'))
    await chmod(join(folder, 'fixed'), 0o555)
    await assert.rejects(download(url, join(folder, 'fixed', 'file')), {
      code: 'ERR_FILE_WRITE',
      message: /you have no permission to write there/,
    })
  })

  it('to a path below a file says so', async () => {
    await writeFile(join(folder, 'file'), '')
    await assert.rejects(download(url, join(folder, 'file', 'x.pth')), {
      code: 'ERR_FILE_WRITE',
      message: /part of the path is a file/,
    })
  })

  it('that is aborted rejects, keeps its part, and continues from there later', async () => {
    server.behaviours = [behave.stallAt(10_000), behave.well]
    const controller = new AbortController()
    const run = get({ signal: controller.signal, stallTimeout: 60_000, onProgress: () => controller.abort() })
    await assert.rejects(run, { name: 'AbortError' })
    await get()
    await isComplete()
    assert.deepEqual(server.starts, [0, 10_000])
  })

  it('happens only once if two processes and two calls request it', async () => {
    const child = (): Promise<unknown[]> =>
      once(
        fork(new URL('../support/download-child.ts', import.meta.url), [url, destination, sha256], {
          execArgv: ['--import', 'tsx'],
        }),
        'exit',
      )
    const codes = await Promise.all([child(), child(), get().then(() => [0]), get().then(() => [0])])
    assert.deepEqual(
      codes.map(([code]) => code),
      [0, 0, 0, 0],
    )
    await isComplete()
    assert.equal(server.requests.length, 1)
  })
})
