import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readdir, rename, rm, symlink, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import sharp from 'sharp'
import { node, platform, tarballs, unavailable } from '../support/packages.js'
import { Registry, registryAnswers, userEnvironment } from '../support/registry.js'
import { skip } from '../support/skip.js'

const run = promisify(execFile)
describe('npm install visiontorch, with nothing but Node and npm on the PATH', function () {
  this.timeout(300_000)
  let machine: string
  let registry: Registry
  let env: NodeJS.ProcessEnv
  let npmEnv: NodeJS.ProcessEnv
  let app: string // a project with visiontorch installed

  before(async function () {
    if (unavailable) skip(this, unavailable)
    if (!(await registryAnswers())) skip(this, 'the npm registry cannot be reached')
    machine = await mkdtemp(join(tmpdir(), 'visiontorch-install-'))
    registry = await Registry.start(machine, tarballs)
    env = await userEnvironment(join(machine, 'home'), registry.url, node)
    npmEnv = node === process.execPath ? env : await foreignNpm()
    app = await project('mit Leerzeichen und Ünïcödé')
    await run('npm', ['install', 'visiontorch'], { cwd: app, env: npmEnv })
  })

  after(async () => {
    await registry?.[Symbol.asyncDispose]()
    if (machine) await rm(machine, { recursive: true, force: true })
  })

  /** Returns the environment in which npm runs on this machine but installs packages for another platform's Node. */
  async function foreignNpm(): Promise<NodeJS.ProcessEnv> {
    const [os, cpu] = platform.split('-')
    const here = await userEnvironment(join(machine, 'npm'), registry.url)
    return { ...here, npm_config_os: os, npm_config_cpu: cpu }
  }

  /** Makes an empty project with the programs of test/e2e/install. */
  async function project(name: string): Promise<string> {
    const directory = join(machine, name)
    await cp('test/e2e/install', directory, { recursive: true })
    await writeFile(join(directory, 'package.json'), '{ "private": true }')
    return directory
  }

  /** Runs the program and parses the JSON that it prints. */
  async function output(program: string, cwd = app, more: NodeJS.ProcessEnv = {}) {
    const { stdout } = await run('node', [program], { cwd, env: { ...env, ...more } })
    return JSON.parse(stdout)
  }

  /** Makes a folder of plain images in two colours. */
  async function images(root: string): Promise<void> {
    for (const [label, background] of Object.entries({ red: '#d02020', blue: '#2020d0' }))
      for (const [split, count] of Object.entries({ train: 4, val: 2 })) {
        const directory = join(root, split, label)
        await mkdir(directory, { recursive: true })
        for (let i = 0; i < count; i++)
          await sharp({ create: { width: 40, height: 40, channels: 3, background } })
            .png()
            .toFile(join(directory, `${i}.png`))
      }
  }

  const runtime = (directory = app) => join(directory, `node_modules/@visiontorch/libtorch-${platform}`)
  const isInstalled = (info: { libtorchVersion: string; libtorchPath: string }, directory = app) => {
    assert.equal(info.libtorchVersion, '2.13.0')
    assert.equal(info.libtorchPath, join(runtime(directory), 'lib/libtorch_cpu.so'))
  }

  it('runs no install script and leaves none behind', async () => {
    const { stdout } = await run(
      'npm',
      ['query', ':attr(scripts, [install]), :attr(scripts, [postinstall])'],
      {
        cwd: app,
        env: npmEnv,
      },
    )
    const names = JSON.parse(stdout).map((entry: { name: string }) => entry.name)
    assert.deepEqual(
      names.filter((name: string) => name.includes('visiontorch')),
      [],
    )
  })

  it('installs LibTorch for this platform only', async () => {
    assert.deepEqual(await readdir(join(app, 'node_modules/@visiontorch')), [`libtorch-${platform}`])
  })

  it('loads by import, from a path with spaces and non-ASCII letters', async () => {
    isInstalled(await output('info.mjs'))
  })

  it('trains for an epoch and predicts', async () => {
    await images(join(app, 'data'))
    const { label, score } = await output('train.mjs')
    assert.ok(['blue', 'red'].includes(label))
    assert.ok(score > 0.5 && score <= 1)
  })

  it('predicts on the command line', async () => {
    const image = 'data/val/red/0.png'
    const args = ['visiontorch', 'predict', image, '--checkpoint', 'run/best.pth', '--json']
    const { stdout } = await run('npx', args, { cwd: app, env })
    const [{ file, predictions }] = JSON.parse(stdout)
    assert.equal(file, image)
    assert.equal(predictions.length, 2)
  })

  it('loads by require', async () => {
    isInstalled(await output('info.cjs'))
  })

  it('has types that a strict TypeScript program compiles with', async () => {
    await cp('test/types/api.ts', join(app, 'api.ts'))
    await symlink(resolve('node_modules/expect-type'), join(app, 'node_modules/expect-type'))
    const options = {
      strict: true,
      exactOptionalPropertyTypes: true,
      module: 'nodenext',
      target: 'es2023',
      lib: ['es2023', 'esnext.disposable'],
      noEmit: true,
      types: ['node'],
      typeRoots: [resolve('node_modules/@types')],
    }
    await writeFile(
      join(app, 'tsconfig.json'),
      JSON.stringify({ compilerOptions: options, files: ['api.ts'] }),
    )
    await writeFile(join(app, 'package.json'), '{ "private": true, "type": "module" }')
    const { stdout } = await run('node', [resolve('node_modules/typescript/bin/tsc'), '-p', app], { env })
    assert.equal(stdout, '')
  })

  it('loads in a worker thread', async () => {
    isInstalled(await output('worker.mjs'))
  })

  it('predicts the same in Node, Bun and Deno, in the main thread and in a worker', async () => {
    const { width, height, channels } = { width: 50, height: 40, channels: 3 } as const
    const data = Uint8Array.from({ length: width * height * channels }, (_, i) => (i * i) % 251)
    await sharp(data, { raw: { width, height, channels } }).png().toFile(join(app, 'image.png'))
    // Named again, because package.json was rewritten above and npm removes packages that it does not name.
    await run('npm', ['install', '--no-save', 'visiontorch', 'bun', 'deno'], { cwd: app, env })

    const expected = await output('predict.mjs')
    assert.deepEqual(expected.inWorker, expected.predictions)
    for (const [command, ...args] of [['bun'], ['deno', 'run', '--allow-all']] as const) {
      const program = join(app, 'node_modules/.bin', command)
      const { stdout } = await run(program, [...args, 'predict.mjs'], { cwd: app, env })
      assert.deepEqual(JSON.parse(stdout), expected, command)
    }
  })

  it('loads no module of Vega, which only a report needs', async () => {
    const program = `
      import { mobilenetV2, predict } from 'visiontorch'
      const model = await mobilenetV2({ widthMult: 0.25 })
      await predict(model, { data: new Uint8Array(12), width: 2, height: 2, channels: 3 })`
    const { stderr } = await run('node', ['--input-type=module', '-e', program], {
      cwd: app,
      env: { ...env, NODE_DEBUG: 'esm' },
      maxBuffer: 1 << 28,
    })
    assert.match(stderr, /node_modules\/p-limit\//)
    assert.doesNotMatch(stderr, /node_modules\/vega/)
  })

  it("loads from pnpm's layout", async () => {
    const directory = await project('pnpm')
    const store = join(machine, 'pnpm-store')
    const pnpm = resolve('node_modules/pnpm/bin/pnpm.cjs')
    await run('node', [pnpm, 'add', '--store-dir', store, 'visiontorch'], { cwd: directory, env })
    const info = await output('info.mjs', directory)
    assert.equal(info.libtorchVersion, '2.13.0')
    assert.match(
      info.libtorchPath,
      /\/pnpm\/node_modules\/\.pnpm\/@visiontorch\+libtorch-linux-x64@2\.13\.0\//,
    )
  })

  it('ignores another LibTorch in LD_LIBRARY_PATH', async () => {
    const other = await stubLibTorch('system', '2.12.0')
    isInstalled(await output('info.mjs', app, { LD_LIBRARY_PATH: join(other, 'lib') }))
  })

  describe('when LibTorch cannot be loaded, throws an error that says what to do', () => {
    it('ERR_LIBTORCH_NOT_FOUND without the platform package', async () => {
      await withRuntime(null, async () => {
        const { code, message } = await output('info.mjs')
        assert.equal(code, 'ERR_LIBTORCH_NOT_FOUND')
        assert.match(message, /@visiontorch\/libtorch-linux-x64: not installed/)
        assert.match(message, /user cache \(CPU\): nothing in /)
        assert.match(message, /Run: npm install @visiontorch\/libtorch-linux-x64@2\.13\.0$/)
      })
    })

    it('ERR_LIBTORCH_VERSION with a LibTorch of another version', async () => {
      const VISIONTORCH_LIBTORCH = await stubLibTorch('old', '2.12.0')
      const { code, message } = await output('info.mjs', app, { VISIONTORCH_LIBTORCH })
      assert.equal(code, 'ERR_LIBTORCH_VERSION')
      assert.match(message, /is LibTorch 2\.12\.0\+cpu; visiontorch was built against 2\.13\.0/)
      assert.match(message, /unset VISIONTORCH_LIBTORCH$/)
    })

    it('ERR_LIBTORCH with a LibTorch that is not what it claims to be', async () => {
      const VISIONTORCH_LIBTORCH = await stubLibTorch('impostor', '2.13.0')
      const { code, message } = await output('info.mjs', app, { VISIONTORCH_LIBTORCH })
      assert.equal(code, 'ERR_LIBTORCH')
      assert.match(message, /undefined symbol/)
    })

    it('ERR_LIBTORCH with a truncated library', async () => {
      const damaged = join(machine, 'truncated')
      await cp(runtime(), damaged, { recursive: true })
      await truncate(join(damaged, 'lib/libtorch_cpu.so'), 300_000_000)
      await withRuntime(damaged, async () => {
        const { code, message } = await output('info.mjs')
        assert.equal(code, 'ERR_LIBTORCH')
        assert.match(message, /libtorch_cpu\.so is truncated: 300000000 of at least \d+ bytes/)
        assert.match(message, /npm install @visiontorch/)
      })
    })

    it('ERR_LIBTORCH_NOT_FOUND, but not at the import, if optional packages were left out', async () => {
      const directory = await project('omitted')
      await run('npm', ['install', '--omit=optional', 'visiontorch'], { cwd: directory, env })
      const { code, message } = await output('info.mjs', directory)
      assert.equal(code, 'ERR_LIBTORCH_NOT_FOUND')
      assert.match(message, /Run: npm install @visiontorch/)
    })

    it('ERR_ADDON_NOT_FOUND with the addon for another platform', async () => {
      const prebuilds = join(app, 'node_modules/visiontorch/prebuilds')
      const linux = join(prebuilds, 'linux-x64')
      const addon = join(linux, 'visiontorch.node')
      await cp(addon, `${addon}.kept`)
      try {
        await writeFile(addon, Buffer.from('cffaedfe0c000001', 'hex')) // macOS, arm64
        assert.equal((await output('info.mjs')).code, 'ERR_ADDON_NOT_FOUND')
        await rm(addon)
        const { code, message } = await output('info.mjs')
        assert.equal(code, 'ERR_ADDON_NOT_FOUND')
        assert.match(message, /linux-x64/)
      } finally {
        await cp(`${addon}.kept`, addon)
        await rm(`${addon}.kept`)
      }
    })
  })

  /** Runs with another runtime package in place of the installed one, or with none. */
  async function withRuntime(directory: string | null, test: () => Promise<void>): Promise<void> {
    const aside = `${runtime()}-aside`
    await rename(runtime(), aside)
    try {
      if (directory !== null) await symlink(directory, runtime())
      await test()
    } finally {
      await rm(runtime(), { force: true })
      await rename(aside, runtime())
    }
  }

  /** Makes a directory that looks like LibTorch, with libraries that load but are empty. */
  async function stubLibTorch(name: string, version: string): Promise<string> {
    const directory = join(machine, name)
    await mkdir(join(directory, 'lib'), { recursive: true })
    await writeFile(join(directory, 'build-version'), `${version}+cpu\n`)
    for (const library of ['libc10.so', 'libtorch_cpu.so', 'libtorch.so'])
      await run('g++', [
        '-shared',
        `-Wl,-soname,${library}`,
        '-o',
        join(directory, 'lib', library),
        '-x',
        'c++',
        '/dev/null',
      ])
    return directory
  }
})
