import assert from 'node:assert/strict'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LIBTORCH_VERSION } from '../../../lib/libtorch/installation.js'
import { locateLibTorch } from '../../../lib/libtorch/locate.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'

const variables = [
  'VISIONTORCH_LIBTORCH',
  'LIBTORCH',
  'XDG_CACHE_HOME',
  'VIRTUAL_ENV',
  'CONDA_PREFIX',
] as const

describe('the LibTorch in use', () => {
  const before = Object.fromEntries(variables.map(name => [name, process.env[name]]))
  let home: string
  beforeEach(async () => {
    home = await temporaryFolder()
    for (const name of variables) delete process.env[name]
    process.env.XDG_CACHE_HOME = home
  })
  afterEach(async () => {
    for (const [name, value] of Object.entries(before))
      if (value === undefined) delete process.env[name]
      else process.env[name] = value
    await removeTemporaryFolders()
  })

  /** Makes a directory that is found as LibTorch but cannot be loaded. */
  async function install(directory: string, version: string): Promise<string> {
    const path = join(home, directory)
    await mkdir(join(path, 'lib'), { recursive: true })
    for (const name of ['libc10.so', 'libtorch_cpu.so', 'libtorch.so'])
      await cp('build/Release/open-library.node', join(path, 'lib', name))
    await writeFile(join(path, 'build-version'), `${version}\n`)
    return path
  }
  const cached = (build: string) =>
    install(`visiontorch/libtorch/${LIBTORCH_VERSION}-${build}`, `${LIBTORCH_VERSION}+${build}`)
  const found = () => locateLibTorch().found?.directory

  it('comes from the first place that has one', async () => {
    const { attempts } = locateLibTorch()
    const packaged = attempts.find(({ place }) => place.startsWith('@visiontorch/'))!.refused === null
    const places: [string, () => Promise<string>][] = [
      ['the CPU build in the cache', () => cached('cpu')],
      [
        'Python (CONDA_PREFIX)',
        async () => {
          process.env.CONDA_PREFIX = join(home, 'conda')
          return install('conda/lib/python3.12/site-packages/torch', LIBTORCH_VERSION)
        },
      ],
      [
        'Python (VIRTUAL_ENV)',
        async () => {
          process.env.VIRTUAL_ENV = join(home, 'venv')
          return install('venv/lib/python3.12/site-packages/torch', LIBTORCH_VERSION)
        },
      ],
      ['the CUDA build in the cache', () => cached('cu130')],
      [
        'LIBTORCH',
        async () => {
          process.env.LIBTORCH = join(home, 'other')
          return install('other', LIBTORCH_VERSION)
        },
      ],
      [
        'VISIONTORCH_LIBTORCH',
        async () => {
          process.env.VISIONTORCH_LIBTORCH = join(home, 'mine')
          return install('mine', LIBTORCH_VERSION)
        },
      ],
    ]
    // From last to first: each takes precedence over all previous ones.
    for (const [place, add] of places) {
      const directory = await add()
      if (packaged && /CPU|Python/.test(place)) continue // the platform's package comes before these
      assert.equal(found(), directory, place)
    }
  })

  it('never has another minor version', async () => {
    const directory = await cached('cpu')
    process.env.LIBTORCH = await install('old', '2.1.0')
    assert.equal(found(), directory)
    const [attempt] = locateLibTorch().attempts
    assert.equal(attempt!.place, 'LIBTORCH')
    assert.equal(attempt!.refused!.reason, 'version')
  })

  it('comes from VISIONTORCH_LIBTORCH, if that is set, and from nowhere else', async () => {
    await cached('cpu')
    process.env.VISIONTORCH_LIBTORCH = join(home, 'nowhere')
    const { found, attempts } = locateLibTorch()
    assert.equal(found, null)
    assert.deepEqual(
      attempts.map(({ place }) => place),
      ['VISIONTORCH_LIBTORCH'],
    )
  })
})
