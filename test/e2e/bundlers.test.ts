import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { tarballs, unavailable } from '../support/packages.js'
import { freePort } from '../support/port.js'
import { Registry, registryAnswers, userEnvironment } from '../support/registry.js'
import { skip } from '../support/skip.js'

const run = promisify(execFile)
const page = readFileSync('docs/bundlers.md', 'utf8')

/** Returns the file of this name that docs/bundlers.md shows. */
function documented(name: string): string {
  const block = page.split('```').find(block => block.split('\n', 2)[1] === `// ${name}`)
  assert.ok(block, `docs/bundlers.md does not show ${name}`)
  return block.slice(block.indexOf('\n') + 1)
}

/** Returns the command of this name that docs/bundlers.md shows. */
function documentedCommand(name: string): string[] {
  const line = page.split('\n').find(line => line.startsWith(`${name} `))
  assert.ok(line, `docs/bundlers.md does not show how to run ${name}`)
  return line.split(' ')
}

interface Bundler {
  command: string[]
  output: string
  configuration?: string
  /** Changes the command or the configuration so that it bundles visiontorch, too. */
  bundleAll: (text: string) => string
}

const bundlers: Record<string, Bundler> = {
  esbuild: {
    command: documentedCommand('esbuild'),
    output: 'out/app.cjs',
    bundleAll: command => command.replace(' --external:visiontorch', ' --log-level=error'),
  },
  Vite: {
    command: ['vite', 'build'],
    output: 'out/app.js',
    configuration: 'vite.config.js',
    bundleAll: text => text.replace(", external: ['visiontorch']", ''),
  },
  Rollup: {
    command: ['rollup', '--config'],
    output: 'out/app.js',
    configuration: 'rollup.config.js',
    bundleAll: text =>
      ['node-resolve', 'commonjs', 'json']
        .map((plugin, i) => `import plugin${i} from '@rollup/plugin-${plugin}'\n`)
        .join('') + text.replace("external: ['visiontorch']", 'plugins: [plugin0(), plugin1(), plugin2()]'),
  },
  webpack: {
    command: ['webpack'],
    output: 'dist/app.js',
    configuration: 'webpack.config.js',
    // Minifying everything takes a minute.
    bundleAll: text => text.replace(/ *externals: .*\n/, '').replace("'production'", "'none'"),
  },
}

describe('an application', function () {
  this.timeout(300_000)
  let app: string
  let registry: Registry
  let env: NodeJS.ProcessEnv
  let expected: string // what the application prints without a bundler

  before(async function () {
    if (unavailable) skip(this, unavailable)
    if (!(await registryAnswers())) skip(this, 'the npm registry cannot be reached')
    app = await mkdtemp(join(tmpdir(), 'visiontorch-bundlers-'))
    registry = await Registry.start(app, tarballs)
    env = await userEnvironment(join(app, 'home'), registry.url)
    await cp('test/e2e/bundlers', app, { recursive: true })
    await writeFile(join(app, 'package.json'), '{ "private": true, "type": "module" }')
    const tools = ['esbuild', 'vite', 'rollup', '@rollup/plugin-node-resolve', '@rollup/plugin-commonjs']
    const more = [
      '@rollup/plugin-json',
      'webpack',
      'webpack-cli',
      'vitest',
      'jest',
      'typescript',
      '@types/node',
    ]
    await run('npm', ['install', 'visiontorch', '@vercel/nft', ...tools, ...more], { cwd: app, env })
    expected = await node('app.js')
    assert.equal(JSON.parse(expected).length, 2)
  })

  after(async () => {
    await registry?.[Symbol.asyncDispose]()
    if (app) await rm(app, { recursive: true, force: true })
    await removeTemporaryFolders()
  })

  async function node(program: string, cwd = app): Promise<string> {
    return (await run('node', [program], { cwd, env })).stdout
  }

  const tool = (command: readonly string[], more: NodeJS.ProcessEnv = {}) =>
    run('npx', ['--no-install', ...command], { cwd: app, env: { ...env, ...more } })

  it('works in tests with Vitest', async () => {
    const { stdout } = await tool(['vitest', 'run', 'app.test.js'])
    assert.match(stdout, /1 passed/)
  })

  it('works in tests with Jest', async () => {
    await writeFile(join(app, 'jest.config.js'), documented('jest.config.js'))
    const { stderr } = await tool(['jest'], { NODE_OPTIONS: '--experimental-vm-modules' })
    assert.match(stderr, /1 passed/)
  })

  it('compiles with TypeScript as CommonJS', async () => {
    for (const name of ['tsconfig.json', 'app.cts']) await writeFile(join(app, name), documented(name))
    await tool(['tsc'])
    assert.equal(await node('out/app.cjs'), expected)
  })

  for (const [name, { command, output, configuration, bundleAll }] of Object.entries(bundlers)) {
    it(`predicts when ${name} bundles it with visiontorch as an external module`, async () => {
      if (configuration) await writeFile(join(app, configuration), documented(configuration))
      await tool(command)
      assert.equal(await node(output), expected)
    })

    it(`says to mark visiontorch as external when ${name} bundles both together`, async () => {
      const whole = configuration ? command : bundleAll(command.join(' ')).split(' ')
      assert.ok(configuration || !whole.includes('--external:visiontorch'))
      if (configuration) {
        const text = bundleAll(documented(configuration))
        assert.ok(!text.includes("'visiontorch'"))
        await writeFile(join(app, configuration), text)
      }
      await tool(whole)
      const { code, message } = JSON.parse(await node(output))
      assert.equal(code, 'ERR_ADDON_NOT_FOUND')
      assert.match(message, /Mark visiontorch as external: .*docs\/bundlers\.md/)
    })
  }

  it('of Next.js predicts in a route handler of its standalone build', async () => {
    // In a folder of its own, because Next.js would take the other tools' configurations for its own.
    const site = await temporaryFolder()
    await cp('test/e2e/next', site, { recursive: true })
    await writeFile(join(site, 'package.json'), '{ "private": true, "type": "module" }')
    await writeFile(join(site, 'next.config.js'), documented('next.config.js'))
    await run('npm', ['install', 'visiontorch', 'next', 'react', 'react-dom'], { cwd: site, env })
    const building = { ...env, NEXT_TELEMETRY_DISABLED: '1' }
    await run('npx', ['--no-install', 'next', 'build'], { cwd: site, env: building })
    const port = await freePort()
    const server = spawn('node', ['server.js'], {
      cwd: join(site, '.next/standalone'),
      env: { ...env, PORT: String(port), HOSTNAME: '127.0.0.1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    try {
      for await (const text of server.stdout) if (/Ready/.test(text)) break
      const response = await fetch(`http://127.0.0.1:${port}/predict`)
      assert.equal(await response.text(), expected.trim())
    } finally {
      server.kill()
    }
  })

  it('is complete after a file trace, as for a container image', async () => {
    await writeFile(
      join(app, 'trace.js'),
      `import { cpSync } from 'node:fs'
       import { nodeFileTrace } from '@vercel/nft'
       const { fileList } = await nodeFileTrace(['app.js'])
       for (const file of fileList) cpSync(file, \`traced/\${file}\`, { verbatimSymlinks: true })`,
    )
    await node('trace.js')
    const info = 'import("visiontorch").then(it => console.log(it.runtimeInfo().libtorchPath))'
    const cwd = join(app, 'traced')
    assert.equal(await node('app.js', cwd), expected)
    const { stdout } = await run('node', ['--eval', info], { cwd, env })
    assert.equal(stdout.trim(), join(cwd, 'node_modules/@visiontorch/libtorch-linux-x64/lib/libtorch_cpu.so'))
  })
})
