import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { setTimeout } from 'node:timers/promises'
import { behave, FlakyServer } from '../support/flaky-server.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { libtorchArchive } from '../support/libtorch-archive.js'

describe('visiontorch libtorch', () => {
  let home: string
  let server: FlakyServer
  let address: string
  let archive: Buffer

  before(async () => {
    archive = await libtorchArchive('2.13.0+cu130')
  })
  beforeEach(async () => {
    home = await temporaryFolder()
    server = new FlakyServer(archive)
    address = await server.start()
  })
  afterEach(async () => {
    await server.stop()
    await removeTemporaryFolders()
  })

  async function run(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const env = {
      PATH: process.env.PATH,
      NO_PROXY: '127.0.0.1',
      NO_COLOR: '1',
      XDG_CACHE_HOME: home,
      VISIONTORCH_LIBTORCH_URL: `${address}/libtorch/`,
    }
    const child = spawn(process.execPath, ['--import', 'tsx', 'lib/cli/main.ts', ...args], { env })
    const code = new Promise<number>(resolve => child.on('exit', resolve))
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)])
    return { code: await code, out, err }
  }

  const cache = () => join(home, 'visiontorch/libtorch')
  const directory = () => join(cache(), '2.13.0-cu130')
  const sha256 = (content: Buffer) => createHash('sha256').update(content).digest('hex')
  /** The archive as a file. */
  async function file(content = archive): Promise<string> {
    const path = join(home, 'libtorch.zip')
    await writeFile(path, content)
    return path
  }

  it('install downloads, checks and unpacks, leaves nothing else behind, and list and remove know the result', async () => {
    const { code, out, err } = await run('libtorch', 'install', 'cu130', '--sha256', sha256(archive))
    assert.equal(code, 0, err)
    assert.equal(err, '')
    assert.equal(out, `${directory()}\n`)
    assert.equal(server.requests[0]!.url, '/libtorch/cu130/libtorch-shared-with-deps-2.13.0%2Bcu130.zip')
    assert.deepEqual((await readdir(cache())).sort(), ['2.13.0-cu130', 'downloads'])
    assert.deepEqual(await readdir(join(cache(), 'downloads')), [])
    assert.deepEqual(await readdir(directory()), ['build-version', 'include', 'lib'])
    assert.ok(!(await readdir(join(directory(), 'lib'))).includes('libtorch_python.so'))

    assert.equal((await run('libtorch', 'install', 'cu130')).out, out)
    assert.equal(server.requests.length, 1)
    const list = JSON.parse((await run('libtorch', 'list', '--json')).out)
    assert.deepEqual(list, [{ name: '2.13.0-cu130', path: directory(), used: true }])

    assert.equal((await run('libtorch', 'remove', 'cu130')).code, 0)
    assert.deepEqual(await readdir(cache()), ['downloads'])
  })

  it('install resumes an interrupted download', async () => {
    const part = join(cache(), 'downloads/libtorch-shared-with-deps-2.13.0+cu130.zip.part')
    const handled = async () => {
      while (((await stat(part).catch(() => null))?.size ?? 0) < 100_000) await setTimeout(10)
    }
    server.behaviours = [behave.cutAt(100_000, handled), behave.well]
    const { code, err } = await run('libtorch', 'install', 'cu130', '--sha256', sha256(archive))
    assert.equal(code, 0, err)
    assert.deepEqual(server.starts, [0, 100_000])
  })

  it('two concurrent installs of one build leave one', async () => {
    const from = await file()
    const results = await Promise.all([1, 2].map(() => run('libtorch', 'install', 'cu130', '--from', from)))
    for (const { code, err } of results) assert.equal(code, 0, err)
    assert.deepEqual(await readdir(cache()), ['2.13.0-cu130'])
  })

  it('install accepts a file, a directory or an address with --from', async () => {
    const fromFile = await run('libtorch', 'install', 'cu130', '--from', await file())
    assert.equal(fromFile.code, 0, fromFile.err)
    const other = home
    home = await temporaryFolder()
    const fromDirectory = await run(
      'libtorch',
      'install',
      'cu130',
      '--from',
      join(other, 'visiontorch/libtorch/2.13.0-cu130'),
    )
    assert.equal(fromDirectory.code, 0, fromDirectory.err)
    home = await temporaryFolder()
    const fromAddress = await run('libtorch', 'install', 'cu130', '--from', `${address}/elsewhere/torch.zip`)
    assert.equal(fromAddress.code, 0, fromAddress.err)
    assert.match(
      fromAddress.err,
      /warning: torch\.zip: the hash of this archive is unknown, so it was not checked/,
    )
  })

  it('install does not leave its folder, whatever the address says', async () => {
    for (const path of [
      '..%2F..%2F..%2F..%2Fescaped.zip',
      '%E0%A4%A.zip',
      '%2e%2e%5cescaped.zip',
      '.hidden',
    ]) {
      server.behaviours = [behave.status(404)]
      await run('libtorch', 'install', 'cu130', '--from', `${address}/${path}`)
      server.behaviours = [
        (_request, response) => {
          response.writeHead(200, { 'content-length': 1_000_000 })
          response.write('cut', () => response.destroy())
        },
      ]
      const { code, err } = await run('libtorch', 'install', 'cu130', '--from', `${address}/${path}`)
      assert.equal(code, 1)
      assert.match(err, /^error: /m)
      assert.deepEqual(await readdir(home), ['visiontorch'])
      assert.deepEqual(await readdir(join(home, 'visiontorch')), ['libtorch'])
      assert.deepEqual(await readdir(cache()), ['downloads'])
    }
  })

  describe('install refuses, with a remedy, and leaves nothing in the cache,', () => {
    const refused = async (pattern: RegExp, ...args: string[]) => {
      const { code, out, err } = await run('libtorch', 'install', ...args)
      assert.ok(code > 0)
      assert.equal(out, '')
      assert.match(err, pattern)
      const left = await readdir(cache()).catch(() => [])
      assert.deepEqual(
        left.filter(name => name !== 'downloads'),
        [],
      )
    }

    it('an archive that is damaged', async () => {
      const damaged = Buffer.from(archive)
      damaged[200_000]! ^= 1
      await refused(/is damaged: .*checksum.*Download it again/, 'cu130', '--from', await file(damaged))
    })

    it('a truncated archive', async () => {
      await refused(/is damaged: /, 'cu130', '--from', await file(archive.subarray(0, 300_000)))
    })

    it('an archive of something else', async () => {
      const other = await libtorchArchive('2.13.0+cu130', 'something')
      await refused(/it has no libtorch\/lib\/libc10\.so/, 'cu130', '--from', await file(other))
    })

    it('another version, and another build', async () => {
      const old = await libtorchArchive('2.12.0+cu130')
      await refused(/is LibTorch 2\.12\.0\+cu130; .* 2\.13\.0/, 'cu130', '--from', await file(old))
      await refused(/expected LibTorch for cpu, got cu130/, 'cpu', '--from', await file())
    })

    it("an archive with PyTorch's name but different content", async () => {
      await refused(/expected a file whose SHA-256 starts with 945c5a3d9\w+, got \w+/, 'cu130')
    })

    it('an archive with a path that leads outside of it', async () => {
      const hostile = await libtorchArchive('2.13.0+cu130', 'libtorch', '../../../../escaped.h')
      await refused(/is damaged: invalid relative path/, 'cu130', '--from', await file(hostile))
    })

    it('an invalid hash', async () => {
      await refused(/--sha256: expected 64 hexadecimal digits, got 'abc'/, 'cu130', '--sha256', 'abc')
    })

    it('a build that does not exist', async () => {
      server.behaviours = [behave.status(404)]
      await refused(/HTTP status 404/, 'cu999')
      await refused(/expected 'cpu' or a build for CUDA like 'cu130', got 'cuda'/, 'cuda')
    })

    it('a file that does not exist', async () => {
      await refused(/nowhere\.zip: expected an archive or a directory/, 'cu130', '--from', '/nowhere.zip')
    })
  })

  it('every command that needs LibTorch refuses a damaged one in the cache instead of loading it', async () => {
    await run('libtorch', 'install', 'cu130', '--from', await file())
    const library = join(directory(), 'lib/libtorch_cpu.so')
    await writeFile(library, (await libtorchArchive('2.13.0+cu130')).subarray(0, 100))
    const { code, err } = await run('doctor')
    assert.equal(code, 1)
    assert.match(err, /libtorch_cpu\.so is not a shared library for Linux \(ELF\)/)
  })

  it('doctor shows what is loaded, with all details as JSON', async () => {
    const { code, out, err } = await run('doctor', '--json')
    const report = JSON.parse(out)
    if (code === 0) {
      assert.match(report.runtime.libtorchPath, /libtorch_cpu\.so$/)
      return
    }
    // Nothing is in this home's cache: shows the places that were searched, and the command that helps.
    assert.equal(err, '')
    assert.equal(report.error.code, 'ERR_LIBTORCH_NOT_FOUND')
    assert.deepEqual(
      report.places.map((attempt: { place: string }) => attempt.place),
      ['@visiontorch/libtorch-linux-x64', 'user cache (CPU)'],
    )
    assert.match(report.error.message, /Run: npm run build:native$/)
  })
})
