import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { loadModel } from '../../lib/index.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { hasTerminals, Terminal } from '../support/terminal.js'
import { tinyModel } from '../support/tiny-model.js'

const program = [process.execPath, join(import.meta.dirname, '../../dist/cli/main.js')]

describe('an interrupted command', function () {
  this.timeout(120_000)
  let folder: string
  let photos: string
  let checkpoint: string
  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    photos = join(folder, 'photos')
    await drawPhotos(photos)
    checkpoint = join(folder, 'model.pth')
    using model = await tinyModel({ classes: ['checks', 'columns', 'rows'] })
    await model.save(checkpoint)
  })
  after(removeTemporaryFolders)

  const endlessTraining = (out: string) => [
    ...[...program, 'train', '--data', photos, '--model', 'mobilenet_v2', '--weights', 'none', '--out', out],
    ...['--epochs', '10000', '--batch-size', '4', '--input-size', '32', '--threads', '1', '--workers', '1'],
  ]

  /** Checks that the run can be resumed, and that no half-written file is left. */
  async function assertSaved(directory: string): Promise<void> {
    using model = await loadModel(join(directory, 'last.pth'))
    assert.deepEqual(model.classes, ['checks', 'columns', 'rows'])
    const known = ['best.pth', 'classes.txt', 'config.json', 'last.pth', 'metrics.csv', 'metrics.jsonl']
    assert.deepEqual((await readdir(directory)).sort(), known)
  }

  describe(`by Ctrl-C on a terminal${hasTerminals ? '' : ' (skipped: no script(1) to make one)'}`, () => {
    before(function () {
      if (!hasTerminals) this.skip()
    })

    it('train saves last.pth, says how to resume, and exits with 130', async () => {
      const out = join(folder, 'interrupted')
      const terminal = new Terminal(endlessTraining(out))
      await terminal.shows(/2\/10000 /)
      terminal.pressCtrlC()
      assert.equal(await terminal.end(), 130, terminal.text)
      assert.match(terminal.text, /finishing the step and saving; press Ctrl-C again to kill/)
      assert.ok(
        terminal.text.includes(
          `saved ${join(out, 'last.pth')}; continue with: visiontorch train --resume --out ${out}`,
        ),
        terminal.text,
      )
      await assertSaved(out)
    })

    it('evaluate and predict exit with 130', async () => {
      for (const args of [
        ['evaluate', '--data', await manyPhotos(), '--split', 'all', '--batch-size', '1'],
        ['predict', await manyPhotos(), '--batch-size', '1'],
      ]) {
        const terminal = new Terminal([...program, ...args, '--checkpoint', checkpoint, '--threads', '1'])
        await terminal.shows(/(evaluating|predicting) [━─]+ \d+/)
        terminal.pressCtrlC()
        assert.equal(await terminal.end(), 130, terminal.text)
        assert.match(terminal.text, /stopping; press Ctrl-C again to kill[\s\S]*\ninterrupted\s+$/)
      }
    })

    it('bench exits with 130', async () => {
      const args = ['bench', '--model', 'mobilenet_v2', '--input-size', '32', '--seconds', '600']
      const terminal = new Terminal([...program, ...args])
      await terminal.shows(/measuring/)
      terminal.pressCtrlC()
      assert.equal(await terminal.end(), 130, terminal.text)
    })

    it('weights pull exits with 130, keeps the downloaded part, and releases its lock for the next pull', async () => {
      const content = Buffer.alloc(1 << 20)
      let asked = ''
      const server = createServer((request, response) => {
        asked = request.headers.range ?? 'all'
        response.writeHead(200, { 'content-length': content.length, etag: '"one"' })
        response.write(content.subarray(0, 600_000))
      }).listen(0, '127.0.0.1')
      await once(server, 'listening')
      const cache = join(folder, 'cache')
      const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mine.pth`
      const env = { XDG_CACHE_HOME: cache, NO_PROXY: '127.0.0.1' }
      try {
        for (const round of [1, 2]) {
          const terminal = new Terminal([...program, 'weights', 'pull', url], { env })
          await terminal.shows(/KiB\/1\.0 MiB/)
          terminal.pressCtrlC()
          assert.equal(await terminal.end(), 130, terminal.text)
          assert.match(terminal.text, /stopping; the next pull resumes from here/)
          if (round === 2) assert.match(asked, /^bytes=[1-9]\d*-$/)
        }
      } finally {
        server.closeAllConnections()
        server.close()
      }
      const left = await readdir(join(cache, 'visiontorch/weights'))
      assert.ok(!left.includes('mine.pth') && !left.some(name => name.endsWith('.lock')), left.join())
    })

    it('is killed by a second Ctrl-C', async () => {
      const terminal = new Terminal([process.execPath, '--import', 'tsx', 'test/support/stubborn.ts'])
      await terminal.shows(/ready/)
      terminal.pressCtrlC()
      await terminal.shows(/press Ctrl-C again to kill[\s\S]*aborted/)
      terminal.pressCtrlC()
      assert.equal(await terminal.end(), 130, terminal.text)
    })

    it('train saves when its terminal is closed', async () => {
      const out = join(folder, 'closed')
      const terminal = new Terminal(endlessTraining(out))
      await terminal.shows(/2\/10000 /)
      const { pid } = terminal.child
      const [training] = (await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')).split(' ')
      terminal.child.kill('SIGKILL')
      const runs = () =>
        readlink(`/proc/${training}/exe`).then(
          () => true,
          () => false,
        )
      while (await runs()) await sleep(20)
      await assertSaved(out)
    })
  })

  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const) {
    it(`by ${signal}: train saves last.pth and exits with ${code}`, async () => {
      const out = join(folder, signal)
      const [command, ...args] = endlessTraining(out)
      const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'pipe'] })
      let text = ''
      child.stderr.on('data', chunk => {
        text += chunk
      })
      while (!text.includes('2/10000')) await once(child.stderr, 'data')
      child.kill(signal)
      assert.deepEqual(await once(child, 'close'), [code, null], text)
      await assertSaved(out)
    })
  }

  let many: string | undefined
  /** Makes a folder of 2,000 images, which keep a command busy for a while. */
  async function manyPhotos(): Promise<string> {
    if (many !== undefined) return many
    many = join(folder, 'many')
    for (const label of ['checks', 'columns', 'rows']) {
      await mkdir(join(many, label), { recursive: true })
      const photo = await readFile(join(photos, 'train', label, '0.png'))
      for (let i = 0; i < 700; i++) await writeFile(join(many, label, `${i}.png`), photo)
    }
    return many
  }
})
