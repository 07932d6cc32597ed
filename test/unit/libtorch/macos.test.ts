import assert from 'node:assert/strict'
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { inspectInstallation, libraries, type Refusal } from '../../../lib/libtorch/installation.js'
import { checkLibrary, libraryName } from '../../../lib/libtorch/library.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'

const mac = { os: 'darwin', cpu: 'arm64' }
const ARM64 = 0x0100000c
const X86_64 = 0x01000007

/** A library of macOS with one segment, which ends where the file does. */
function machO({ cpu = ARM64, size = 4096, commands = 72 } = {}): Buffer {
  const file = Buffer.alloc(size)
  const header = [0xfeedfacf, cpu, 0, 6, 1, commands, 0, 0]
  for (const [i, value] of header.entries()) file.writeUInt32LE(value, 4 * i)
  file.writeUInt32LE(0x19, 32) // LC_SEGMENT_64
  file.writeUInt32LE(72, 36)
  file.write('__LINKEDIT', 40)
  file.writeBigUInt64LE(1024n, 72)
  file.writeBigUInt64LE(BigInt(size - 1024), 80)
  return file
}

describe('LibTorch for macOS', () => {
  let folder: string
  beforeEach(async () => {
    folder = await temporaryFolder()
  })
  afterEach(removeTemporaryFolders)

  async function install(version = '2.13.0'): Promise<string> {
    await mkdir(join(folder, 'lib'))
    for (const name of ['libc10', 'libomp', 'libtorch', 'libtorch_cpu', 'libtorch_python'])
      await writeFile(join(folder, 'lib', `${name}.dylib`), machO())
    await writeFile(join(folder, 'version.py'), `__version__ = '${version}'\n`)
    return folder
  }
  const refusal = (expected: RegExp) => (error: Refusal) => {
    assert.match(error.message, expected)
    return true
  }

  it('has libraries named .dylib', () => {
    assert.equal(libraryName('torch_cpu', mac), 'libtorch_cpu.dylib')
    assert.equal(libraryName('torch_cpu', { os: 'linux', cpu: 'arm64' }), 'libtorch_cpu.so')
  })

  it('is loaded after its OpenMP library, in the order of its dependencies', async () => {
    const installation = inspectInstallation(await install(), '2.13.0', mac)
    assert.equal(installation.version, '2.13.0')
    assert.equal(installation.cuda, false)
    assert.deepEqual(
      libraries(installation, mac).map(path => basename(path)),
      ['libomp.dylib', 'libc10.dylib', 'libtorch_cpu.dylib', 'libtorch.dylib'],
    )
  })

  it('is refused if it is of another version, for Linux, or lacks a library', async () => {
    const directory = await install()
    assert.throws(() => inspectInstallation(directory, '2.12.0', mac), refusal(/is LibTorch 2\.13\.0/))
    assert.throws(
      () => inspectInstallation(directory, '2.13.0', { os: 'linux', cpu: 'x64' }),
      refusal(/holds no lib\/libc10\.so/),
    )
    await truncate(join(directory, 'lib/libtorch_cpu.dylib'), 2048)
    assert.throws(
      () => inspectInstallation(directory, '2.13.0', mac),
      refusal(/libtorch_cpu\.dylib is truncated: 2048 of at least 4096 bytes/),
    )
  })

  const check = async (content: Buffer) => {
    const path = join(folder, 'library.dylib')
    await writeFile(path, content)
    return checkLibrary(path, mac)
  }

  it('consists of whole libraries for this processor', async () => {
    assert.equal(await check(machO()), null)
    assert.equal(checkLibrary(join(folder, 'none.dylib'), mac), 'is missing')
    assert.match((await check(machO({ cpu: X86_64 })))!, /is for another processor/)
    assert.match((await check(Buffer.alloc(10)))!, /is not a shared library for macOS/)
    assert.match(
      (await check(await readFile('build/Release/open-library.node')))!,
      /is not a shared library for macOS/,
    )
  })

  it('is refused if its load commands are damaged', async () => {
    assert.match((await check(machO({ commands: 0xffffffff })))!, /load commands are too long/)
    assert.match((await check(machO({ commands: 8192 })))!, /is truncated/)
    const endless = machO()
    endless.writeUInt32LE(0, 36) // a command of no length
    assert.equal(await check(endless), null)
  })
})
