import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { chmod, copyFile, mkdir, readdir, stat, symlink } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { installable, unavailable } from '../support/packages.js'
import { picture } from '../support/serving.js'
import { skip } from '../support/skip.js'
import { tinyModel } from '../support/tiny-model.js'

const root = join(import.meta.dirname, '../..')
const example = (name: string) => readFileSync(join(root, 'examples/serve', name), 'utf8')

/** Returns the instructions of the Dockerfile in order, with continued lines joined. */
const instructions = example('Dockerfile')
  .replaceAll(/\\\n\s*/g, '')
  .split('\n')
  .filter(line => line !== '' && !line.startsWith('#'))
  .map(line => /^(\w+) (.*)$/.exec(line)!.slice(1) as [string, string])
const values = (name: string) => instructions.filter(([word]) => word === name).map(([, value]) => value)
const words = (name: string): string[] => JSON.parse(values(name)[0]!)

/**
 * Runs its arguments as an unprivileged user on a system whose file systems are all read-only, like `docker run --read-only`
 * with the Dockerfile's user.
 */
const READ_ONLY = `
for place in $(cut -d' ' -f5 /proc/self/mountinfo); do
  case $place in /dev*|/proc*|/sys*) ;; *) mount -o remount,bind,ro "$place" || exit 1 ;; esac
done
! touch "$PWD/written" 2>/dev/null || exit 1
exec setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all "$@"`
const readOnly = (command: string, ...args: string[]) =>
  ['unshare', ['--mount', 'sh', '-c', READ_ONLY, 'sh', command, ...args]] as const

const canMount = () => {
  const [command, args] = readOnly('true')
  return spawnSync(command, args).status === 0
}

describe('the files for deployment', function () {
  this.timeout(180_000)
  before(() => {
    buildDist()
  })
  after(removeTemporaryFolders)

  it('the server, the exporters and the readers of data add less than 3 MB to an installation', async () => {
    let bytes = 0
    for (const folder of ['serve', 'ui', 'export', 'data']) {
      const path = join(root, 'dist', folder)
      for (const name of await readdir(path, { recursive: true }))
        bytes += (await stat(join(path, name))).size
    }
    assert.ok(bytes < 3_000_000, `${bytes} bytes`)
  })

  it('the Dockerfile runs a slim Node.js image as an unprivileged user', () => {
    assert.match(values('FROM')[0]!, /^node:2\d-slim$/)
    const user = instructions.findIndex(([name]) => name === 'USER')
    assert.equal(instructions[user]![1], 'node')
    assert.ok(!instructions.slice(user).some(([name]) => name === 'RUN' || name === 'COPY'))
  })

  it('its command serves the model in a fresh folder, its health check succeeds, and it ends on SIGTERM', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'models'))
    await mkdir(join(folder, 'node_modules'))
    await symlink(root, join(folder, 'node_modules/visiontorch')) // instead of RUN npm install
    using model = await tinyModel()
    await model.save(join(folder, 'best.pth'))
    await copyFile(join(folder, 'best.pth'), join(folder, 'models/best.pth'))

    // The port may be in use on this machine, so use any other.
    const [command, ...args] = [...words('ENTRYPOINT'), ...words('CMD')]
    assert.deepEqual([command, args[args.indexOf('--port') + 1]], ['node', values('EXPOSE')[0]])
    args[args.indexOf('--port') + 1] = '0'
    const server = spawn(process.execPath, args, { cwd: folder })
    let said = ''
    while (!/ on http:/.test(said)) said += (await once(server.stderr, 'data'))[0]
    const port = / on http:\/\/0\.0\.0\.0:(\d+)/.exec(said)![1]!

    const check = JSON.parse(/ CMD (.*)$/.exec(` ${values('HEALTHCHECK')[0]}`)![1]!) as string[]
    const healthy = (port: string) =>
      once(
        spawn(
          process.execPath,
          check.slice(1).map(word => word.replace(':8080', `:${port}`)),
        ),
        'exit',
      )
    assert.deepEqual(await healthy(port), [0, null])
    server.kill('SIGTERM')
    assert.deepEqual(await once(server, 'exit'), [0, null])
    assert.deepEqual(await healthy(port), [1, null])
  })

  it('its RUN step installs the packages, and the server runs on a read-only system as another user', async function () {
    if (unavailable) skip(this, unavailable)
    if (!canMount()) skip(this, 'mounting a read-only system takes root, unshare and setpriv')
    const folder = await temporaryFolder()
    await chmod(folder, 0o755)
    assert.deepEqual(values('COPY'), ['*.tgz ./', 'best.pth models/'])
    for (const tarball of installable) await copyFile(tarball, join(folder, basename(tarball)))
    const installed = spawnSync('sh', ['-c', values('RUN')[0]!], { cwd: folder, encoding: 'utf8' })
    assert.equal(installed.status, 0, installed.stderr)
    await mkdir(join(folder, 'models'))
    using model = await tinyModel()
    await model.save(join(folder, 'models/best.pth'))

    const args = [...words('ENTRYPOINT').slice(1), ...words('CMD')]
    args[args.indexOf('--port') + 1] = '0'
    const env = {
      PATH: process.env.PATH,
      NODE_ENV: 'production',
      HOME: '/nonexistent',
      TMPDIR: '/nonexistent',
    }
    const server = spawn(...readOnly(process.execPath, ...args), { cwd: folder, env })
    let said = ''
    let log = ''
    server.stderr.on('data', data => (said += data))
    server.stdout.on('data', data => (log += data))
    const exited = once(server, 'exit')
    while (!/ on http:/.test(said))
      await Promise.race([once(server.stderr, 'data'), exited.then(() => assert.fail(said))])
    const url = / on http:\/\/0\.0\.0\.0:(\d+)/.exec(said)![1]!
    const response = await fetch(`http://127.0.0.1:${url}/predict`, {
      method: 'POST',
      body: await picture(1),
    })
    assert.equal(response.status, 200, await response.text())
    assert.doesNotMatch(log, /"level":[45]0/)
    server.kill('SIGTERM')
    assert.deepEqual(await exited, [0, null])
  })

  it('every file uses existing options and routes', () => {
    const { stdout } = spawnSync(process.execPath, [join(root, 'dist/cli/main.js'), 'serve', '--help'], {
      encoding: 'utf8',
    })
    for (const name of ['Dockerfile', 'kubernetes.yaml', 'kserve.yaml', 'visiontorch.service']) {
      const text = example(name).replace(/^#.*$/gm, '')
      for (const [, option] of text.matchAll(
        /(?<![\w-])(--(?!no-audit|no-fund|interval|timeout=|start-period)[a-z][a-z-]+)/g,
      ))
        assert.ok(stdout.includes(`${option} `), `${name}: ${option}`)
    }
    assert.match(example('kubernetes.yaml'), /path: \/v2\/health\/ready/)
  })
})
