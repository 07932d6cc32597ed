import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './port.js'

const run = promisify(execFile)

/**
 * A registry of npm on loopback that serves these tarballs. What they depend on comes through it from the registry that
 * this machine is configured for, as in `npm ci`.
 */
export class Registry implements AsyncDisposable {
  private constructor(
    readonly url: string,
    private readonly server: ChildProcess,
  ) {}

  static async start(directory: string, tarballs: readonly string[]): Promise<Registry> {
    const port = await freePort()
    const url = `http://127.0.0.1:${port}/`
    const upstream = execFileSync('npm', ['config', 'get', 'registry'], { encoding: 'utf8' }).trim()
    const own = { access: '$all', publish: '$authenticated' }
    const config = {
      storage: join(directory, 'storage'),
      auth: { htpasswd: { file: join(directory, 'htpasswd') } },
      uplinks: { upstream: { url: upstream } },
      packages: { visiontorch: own, '@visiontorch/*': own, '**': { access: '$all', proxy: 'upstream' } },
      max_body_size: '300mb',
      web: { enable: false },
      log: { type: 'stdout', level: 'fatal' },
    }
    const file = join(directory, 'verdaccio.json')
    await writeFile(file, JSON.stringify(config))
    const server = spawn(
      process.execPath,
      ['node_modules/verdaccio/bin/verdaccio', '-c', file, '-l', url.slice(7, -1)],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    )
    const registry = new Registry(url, server)
    await registry.#publish(directory, tarballs)
    return registry
  }

  async #publish(directory: string, tarballs: readonly string[]): Promise<void> {
    const user = { name: 'test', password: 'test-password' }
    const token = await this.#signUp(user)
    const npmrc = join(directory, 'npmrc')
    await writeFile(npmrc, `registry=${this.url}\n${this.url.slice(5)}:_authToken=${token}\n`)
    for (const tarball of tarballs)
      await run('npm', ['publish', '--userconfig', npmrc, '--tag', 'latest', resolve(tarball)], {
        env: { ...process.env, npm_config_cache: join(directory, 'npm-cache') },
      })
  }

  async #signUp(user: { name: string; password: string }): Promise<string> {
    for (let attempt = 0; attempt < 200; attempt++) {
      const response = await fetch(`${this.url}-/user/org.couchdb.user:${user.name}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(user),
      }).catch(() => null)
      if (response?.ok) return ((await response.json()) as { token: string }).token
      if (response !== null) throw new Error(`the registry refuses: HTTP ${response.status}`)
      await setTimeout(100)
    }
    throw new Error('the registry did not start')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.kill()
  }
}

/** Returns whether the npm registry that this machine is configured for answers. */
export async function registryAnswers(): Promise<boolean> {
  return run('npm', ['view', 'sharp', 'version'], { timeout: 30_000 }).then(
    () => true,
    () => false,
  )
}

/** The environment of a user's machine: a separate home, and a PATH with nothing but Node, npm and npx. */
export async function userEnvironment(
  home: string,
  registry: string,
  node = process.execPath,
): Promise<NodeJS.ProcessEnv> {
  const bin = join(home, 'bin')
  await mkdir(bin, { recursive: true })
  await symlink(node, join(bin, 'node'))
  for (const tool of ['npm', 'npx']) {
    const path = execFileSync('/bin/sh', ['-c', `command -v ${tool}`], { encoding: 'utf8' }).trim()
    await symlink(path, join(bin, tool))
  }
  return {
    PATH: bin,
    HOME: home,
    npm_config_registry: registry,
    npm_config_cache: join(home, '.npm'),
    npm_config_script_shell: '/bin/sh',
    npm_config_update_notifier: 'false',
    npm_config_fund: 'false',
    npm_config_audit: 'false',
  }
}
