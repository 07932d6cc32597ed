import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'

describe('building the addon when something is missing', () => {
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
  const tools = { cmake: 'echo cmake version 3.31.0', make: 'exit 0' }

  it('lists everything at once, with one command that installs it', async () => {
    const text = await build({})
    assert.match(text, /The addon cannot be built:/)
    assert.match(text, /C\+\+20 compiler .*needed; found no c\+\+, g\+\+, clang\+\+/)
    assert.match(text, /CMake 3\.22 or newer is needed; found none/)
    assert.match(text, /make or Ninja is needed; found neither/)
    assert.match(text, /libjpeg-turbo was not found/)
    assert.match(text, /^(To install it, run: .* cmake .*|Install it with .*)$/m)
  })

  it('asks for a C++20 compiler', async () => {
    const old = 'case "$*" in *std=c++20*) echo "unrecognized option -std=c++20" >&2; exit 1;; esac'
    assert.match(await build({ ...tools, 'g++': old }), /g\+\+ is none:\n *unrecognized option/)
  })

  it('installs CMake and Ninja with npm, and asks for them if that fails', async () => {
    const npm = 'echo "npm error $*" >&2; exit 1'
    const text = await build({ cmake: 'echo cmake version 3.18.4', 'g++': 'exit 0', npm })
    assert.match(text, /installing CMake and Ninja into .*\n.*npm error ci --prefix .*\/build-tools /)
    assert.match(text, /CMake 3\.22 or newer is needed; found 3\.18/)
    assert.match(text, /make or Ninja is needed/)
    assert.doesNotMatch(text, /libjpeg/)
  })

  it('installs libjpeg-turbo with pip, and continues without it if that fails', async () => {
    const without = 'while read -r line; do case "$line" in *jpeglib.h*) exit 1;; esac; done'
    const text = await build({ ...tools, 'g++': without })
    assert.match(text, /installing libjpeg-turbo into /)
    assert.match(text, /The addon is built without it, and sharp decodes JPEGs/)
    assert.match(text, /could not be obtained from anywhere:/) // LibTorch, which comes next
  })

  it('says where it looked for LibTorch, and how to name one', async () => {
    const text = await build({ ...tools, 'g++': 'exit 0' })
    assert.match(text, /could not be obtained from anywhere:/)
    assert.match(text, /Python's torch: found no python3 with torch/)
    assert.match(text, /download of the archive: http:\/\/127\.0\.0\.1:4\/cpu\/.* refused the connection/)
    assert.match(text, /pip download: /)
    assert.match(text, /name its directory in VISIONTORCH_LIBTORCH\.$/m)
  })
})
