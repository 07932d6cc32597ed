import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { builtWithLibjpeg, discardIfMoved, holdsLibjpeg } from '../../../scripts/cmake.js'
import { installCommand, type Need } from '../../../scripts/toolchain.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'

describe('the command that installs missing tools', () => {
  const all: Need[] = ['compiler', 'cmake', 'make', 'libjpeg']
  const command = (osRelease: string, needs = all) => installCommand(needs, 'linux', osRelease)

  it("uses the system's package manager", () => {
    assert.equal(
      command('PRETTY_NAME="Debian GNU/Linux 12"\nID=debian\n'),
      'apt-get install --yes g++ cmake make libjpeg62-turbo-dev',
    )
    assert.equal(
      command('ID=ubuntu\nID_LIKE=debian\n'),
      'apt-get install --yes g++ cmake make libjpeg-turbo8-dev',
    )
    assert.equal(
      command('ID=fedora\n'),
      'dnf install --assumeyes gcc-c++ cmake make libjpeg-turbo-devel libjpeg-turbo-static',
    )
    assert.equal(command('ID=alpine\n'), 'apk add g++ cmake make libjpeg-turbo-dev libjpeg-turbo-static')
    assert.equal(
      installCommand(all, 'darwin', ''),
      'xcode-select --install && brew install cmake ninja jpeg-turbo',
    )
  })

  it("uses the package manager of a derived system's parent", () => {
    assert.match(command('ID=linuxmint\nID_LIKE="ubuntu debian"\n')!, /libjpeg-turbo8-dev/)
    assert.match(command('ID="rocky"\nID_LIKE="rhel centos fedora"\n')!, /^dnf /)
  })

  it('installs only what is missing', () => {
    assert.equal(command('ID=debian\n', ['make']), 'apt-get install --yes make')
  })

  it('is not guessed for an unknown system', () => {
    assert.equal(command('ID=plan9\n'), null)
  })
})

describe('a build directory', () => {
  afterEach(removeTemporaryFolders)

  async function configured(...entries: string[]): Promise<string> {
    const out = join(await temporaryFolder(), 'build')
    await mkdir(out)
    await writeFile(join(out, 'CMakeCache.txt'), entries.join('\n'))
    return out
  }

  it('of this checkout is kept', async () => {
    const out = await configured(`CMAKE_HOME_DIRECTORY:INTERNAL=${process.cwd()}`)
    discardIfMoved(out)
    assert.ok(existsSync(out))
  })

  it('from a copied or moved checkout is removed', async () => {
    const elsewhere = await temporaryFolder()
    for (const home of [elsewhere, '/nowhere/visiontorch']) {
      const out = await configured(`CMAKE_HOME_DIRECTORY:INTERNAL=${home}`)
      discardIfMoved(out)
      assert.ok(!existsSync(out))
    }
  })

  it('says whether the addon has libjpeg-turbo', async () => {
    const states: [string, boolean, boolean][] = [
      ['JPEG:FILEPATH=/usr/lib/libjpeg.a', true, true],
      ['JPEG:FILEPATH=/usr/lib/libjpeg.so', true, false],
      ['JPEG:FILEPATH=JPEG-NOTFOUND', false, false],
    ]
    for (const [entry, built, held] of states) {
      const out = await configured(entry)
      assert.deepEqual([builtWithLibjpeg(out), holdsLibjpeg(out)], [built, held])
    }
  })
})
