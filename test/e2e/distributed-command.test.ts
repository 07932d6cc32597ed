import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { withoutProcesses } from '../../lib/cli/launch.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { freePort } from '../support/port.js'
import { NO_PYTHON, python } from '../support/python.js'
import { skip } from '../support/skip.js'
import { tensorHashes } from '../support/tensors.js'

describe('visiontorch train on several processes', function () {
  this.timeout(180_000)

  let root: string
  let photos: string
  const children: ChildProcess[] = []
  before(async () => {
    root = await temporaryFolder()
    photos = join(root, 'photos')
    await drawPhotos(photos)
  })
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })
  after(removeTemporaryFolders)

  const node = [process.execPath, '--import', 'tsx']
  const training = [
    '--model',
    'squeezenet1_1',
    '--weights',
    'none',
    '--input-size',
    '32',
    '--batch-size',
    '5',
  ]
  const common = [...training, '--no-report', '--threads', '1', '--json', '--schedule', 'constant']

  function start(words: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
    const child = spawn(words[0]!, words.slice(1), {
      env: { ...process.env, NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    children.push(child)
    return child
  }
  async function ended(child: ChildProcess): Promise<{ code: number; out: string; err: string }> {
    const [out, err] = await Promise.all([text(child.stdout!), text(child.stderr!)])
    return { code: child.exitCode ?? (await once(child, 'exit'))[0], out, err }
  }
  const command = (...args: string[]) => [...node, 'lib/cli/main.ts', 'train', photos, ...common, ...args]
  const typesOf = (out: string): string[] =>
    out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).type)

  it('starts them with --processes, and prints what rank 0 prints', async () => {
    const directory = join(root, 'two')
    const { code, out, err } = await ended(
      start(command('--processes', '2', '--epochs', '2', '--out', directory)),
    )
    assert.equal(code, 0, err)
    const types = typesOf(out)
    assert.equal(types.filter(type => type === 'start').length, 1)
    assert.equal(types.filter(type => type === 'epoch').length, 2)
    assert.equal(types.at(-1), 'end')
    assert.match(out, /2 processes, each with batches of 5 images: 10 images per update/)
    assert.deepEqual((await readdir(directory)).sort(), [
      'best.pth',
      'classes.txt',
      'config.json',
      'last.pth',
      'metrics.csv',
      'metrics.jsonl',
    ])
    const straight = join(root, 'one')
    const one = await ended(
      start(command('--gradient-accumulation', '2', '--epochs', '2', '--out', straight)),
    )
    assert.equal(one.code, 0, one.err)
    assert.deepEqual(
      await tensorHashes(join(directory, 'last.pth')),
      await tensorHashes(join(straight, 'last.pth')),
    )
  })

  it('evaluates on all of them, and prints on rank 0 what one process prints', async () => {
    const common = ['--batch-size', '5', '--json']
    const [one, first, second] = await aloneAndTogether(name => [
      ...['evaluate', photos, ...checkpoint(), ...common, '--predictions', join(root, `${name}.csv`)],
    ])
    assert.deepEqual([one.code, first.code, second.code], [0, 0, 0], first.err)
    assert.equal(first.out, one.out)
    assert.equal(second.out, '')
    assert.equal(JSON.parse(one.out).count, 12)
    const [predictions, ofBoth] = await Promise.all(
      ['alone', 'together'].map(name => readFile(join(root, `${name}.csv`), 'utf8')),
    )
    assert.equal(predictions!.trim().split('\n').length, 1 + 12)
    assert.equal(ofBoth, predictions)
  })

  it('predicts on all of them, and prints on rank 0 what one process prints', async () => {
    const broken = join(root, 'broken.jpg')
    await writeFile(broken, 'not an image')
    for (const format of [['--json'], ['--top-k', '1']]) {
      const [one, first, second] = await aloneAndTogether(() => [
        ...['predict', join(photos, 'val'), broken, join(photos, 'train'), ...checkpoint()],
        ...['--batch-size', '5', ...format],
      ])
      assert.deepEqual([one.code, first.code, second.code], [1, 1, 1], first.err)
      assert.equal(first.out, one.out)
      assert.equal(first.err, one.err)
      assert.match(one.err, /^1 of 37 images could not be read$/m)
      assert.deepEqual([second.out, second.err], ['', ''])
    }
  })

  it('predicts with --processes, but not from stdin', async () => {
    const words = [...node, 'lib/cli/main.ts', 'predict', ...checkpoint(), '--processes', '2']
    const child = start([...words, join(photos, 'val')])
    const { code, out, err } = await ended(child)
    assert.equal(code, 0, err)
    assert.equal(out.match(/\.png$/gm)?.length, 12)
    const refused = await ended(start([...words, '-']))
    assert.equal(refused.code, 2)
    assert.match(refused.err, /stdin/)
  })

  const checkpoint = () => ['--checkpoint', join(root, 'two', 'best.pth'), '--threads', '1']
  /** Runs a command in one process, and on the two ranks of a job. */
  async function aloneAndTogether(words: (name: string) => string[]) {
    const port = String(await freePort())
    const job = { WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: port }
    const run = (name: string, env: NodeJS.ProcessEnv) =>
      ended(start([...node, 'lib/cli/main.ts', ...words(name)], env))
    return Promise.all([
      run('alone', {}),
      run('together', { ...job, RANK: '0' }),
      run('together', { ...job, RANK: '1' }),
    ])
  }

  /** Waits for the first event of this type. */
  async function sees(child: ChildProcess, type: string): Promise<void> {
    for await (const line of createInterface({ input: child.stdout! }))
      if (JSON.parse(line).type === type) return
  }
  /** Returns the child processes of a process. */
  const childrenOf = async ({ pid }: ChildProcess): Promise<number[]> =>
    (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).trim().split(' ').map(Number)

  it('ends all processes if one is killed, and says which', async () => {
    const child = start(command('--processes', '2', '--epochs', '1000', '--out', join(root, 'killed')))
    const err = text(child.stderr!)
    await sees(child, 'step')
    const pids = await childrenOf(child)
    assert.equal(pids.length, 2)
    process.kill(pids[1]!, 'SIGKILL')
    child.stdout!.resume()
    assert.deepEqual(await once(child, 'exit'), [1, null])
    assert.match(await err, /rank 1 ended with SIGKILL/)
    assert.match(await err, /error: rank 1 ended without a message/)
    for (const pid of pids) assert.ok(!existsSync(`/proc/${pid}`))
  })

  it('stops all processes after the same step when asked to, and saves once', async () => {
    const directory = join(root, 'stopped')
    const child = start(command('--processes', '2', '--epochs', '1000', '--out', directory))
    const err = text(child.stderr!)
    await sees(child, 'step')
    child.stdout!.resume()
    child.kill('SIGTERM')
    assert.deepEqual(await once(child, 'exit'), [143, null])
    const saved = (await err).split('\n').filter(line => line.includes('saved'))
    assert.deepEqual(saved, [
      `saved ${join(directory, 'last.pth')}; continue with: visiontorch train --resume --out ${directory}`,
    ])
  })

  it('refuses --processes under another launcher, and an invalid number', async () => {
    const env = { RANK: '0', WORLD_SIZE: '2', MASTER_ADDR: '127.0.0.1', MASTER_PORT: '1' }
    const both = await ended(start(command('--processes', '2'), env))
    assert.equal(both.code, 2)
    assert.match(both.err, /--processes: a launcher \(RANK, WORLD_SIZE\) has already started this process/)
    const none = await ended(start(command('--processes', 'many')))
    assert.equal(none.code, 2)
    assert.match(none.err, /Expected a number of processes, or auto/)
  })

  it('does not pass the option on to the processes', () => {
    assert.deepEqual(withoutProcesses(['train', 'd', '--processes', '2', '--lr', '1']), [
      'train',
      'd',
      '--lr',
      '1',
    ])
    assert.deepEqual(withoutProcesses(['--processes=auto', 'd']), ['d'])
  })

  it('runs under torchrun, which restarts it after a failure', async function () {
    if (python === undefined) return skip(this, NO_PYTHON)
    const torchrun = join(dirname(python), 'torchrun')
    const directory = join(root, 'torchrun')
    const port = String(await freePort())
    const launcher = [
      torchrun,
      '--no-python',
      '--nproc-per-node',
      '2',
      '--max-restarts',
      '1',
      '--master-port',
      port,
    ]
    const args = command('--epochs', '2', '--out', directory, '--resume')
    // Rank 1 dies in its first attempt, once last.pth exists. torchrun turns $$$$ into $$.
    const script = `[ $RANK$TORCHELASTIC_RESTART_COUNT = 10 ] && (while [ ! -f ${directory}/last.pth ]; do sleep 0.1; done; kill -9 $$$$) & exec "$@"`
    const { code, out, err } = await ended(
      start([...launcher, 'sh', '-c', script, 'sh', ...args], { GLOO_SOCKET_IFNAME: 'lo' }),
    )
    assert.equal(code, 0, err)
    assert.match(err, /rank 1 ended without a message|exitcode: -9|SIGKILL/)
    assert.equal(typesOf(out).at(-1), 'end')
  })
})
