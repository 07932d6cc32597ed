import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'

describe('building the addon, where something is missing', () => {
  afterEach(removeTemporaryFolders)

  /** Runs the build with only these tools on the PATH, on a machine without LibTorch and without a network. */
  async function build(tools: Record<string, string>): Promise<string> {
    const home = await temporaryFolder()
    for (const [name, script] of Object.entries({ node: '', ...tools })) {
      if (script === '') await symlink(name === 'node' ? process.execPath : which(name), join(home, name))
      else await writeFile(join(home, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    }
    const env = {
      PATH: home,
      HOME: home,
      VISIONTORCH_LIBTORCH_URL: 'http://127.0.0.1:4',
      NO_PROXY: '127.0.0.1',
    }
    const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', 'scripts/build-native.ts'], {
      env,
      encoding: 'utf8',
    })
    assert.equal(status, 1)
    return stderr
  }

  const which = (tool: string) =>
    spawnSync('/bin/sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).stdout.trim()
  const cmake = { cmake: 'echo cmake version 3.31.0', make: 'exit 0' }

  it('asks for CMake', async () => {
    assert.match(await build({}), /CMake 3\.22 or newer is needed .*found none[\s\S]*apt-get install cmake/)
    assert.match(await build({ cmake: 'echo cmake version 3.18.4' }), /found 3\.18/)
  })

  it('asks for make or Ninja', async () => {
    assert.match(await build({ cmake: cmake.cmake }), /make or Ninja is needed/)
  })

  it('asks for a compiler of C++20', async () => {
    assert.match(
      await build(cmake),
      /C\+\+20 is needed .*found no c\+\+, g\+\+, clang\+\+[\s\S]*apt-get install g\+\+/,
    )
    const old = 'case "$*" in *std=c++20*) echo "unrecognized option -std=c++20" >&2; exit 1;; esac'
    assert.match(await build({ ...cmake, 'g++': old }), /g\+\+ is none:\nunrecognized option/)
  })

  it('asks for libjpeg-turbo', async () => {
    const without = 'while read -r line; do case "$line" in *jpeglib.h*) exit 1;; esac; done'
    assert.match(
      await build({ ...cmake, 'g++': without }),
      /libjpeg-turbo is needed [\s\S]*apt-get install libjpeg62-turbo-dev/,
    )
  })

  it('says where LibTorch was looked for, and how to name one', async () => {
    const text = await build({ ...cmake, 'g++': 'exit 0' })
    assert.match(text, /could not be had from anywhere:/)
    assert.match(text, /Python's torch: no python3 that has torch/)
    assert.match(text, /download of the archive: http:\/\/127\.0\.0\.1:4\/cpu\/.* refused the connection/)
    assert.match(text, /pip download: /)
    assert.match(text, /name its directory in VISIONTORCH_LIBTORCH\.$/m)
  })
})
