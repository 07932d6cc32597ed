import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { type Browser, chromium, type Page } from 'playwright-core'
import { loadModel, predict } from '../../lib/index.js'
import { chromiumPath } from '../support/chromium.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { drawPhotos } from '../support/photos.js'
import { ServeProcess, stopServing } from '../support/serve-process.js'
import { skip } from '../support/skip.js'

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

describe('visiontorch ui', function () {
  this.timeout(120_000)
  let folder: string
  let photos: string
  let ui: ServeProcess
  before(async () => {
    buildDist()
    folder = await temporaryFolder()
    photos = join(folder, 'photos')
    await drawPhotos(photos)
    ui = await ServeProcess.startUi(folder, '--data', photos, '--threads', '1')
  })
  after(async () => {
    await stopServing()
    await removeTemporaryFolders()
  })

  const start = (options: object, to = ui) =>
    fetch(`${to.url}/training/start`, {
      method: 'POST',
      body: JSON.stringify(options),
    })
  const tiny = { model: 'mobilenet_v2', weights: 'none', batchSize: 8, inputSize: 32 }
  const saved = (run: string, file: string) => access(join(folder, 'runs', run, file))

  describe('in a browser', () => {
    let browser: Browser
    before(async function () {
      if (!chromiumPath) skip(this, 'Chromium is not installed')
      browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] })
    })
    after(() => browser?.close())

    async function open(viewport = { width: 1280, height: 900 }, colorScheme?: 'dark') {
      const page = await browser.newPage({ viewport, ...(colorScheme && { colorScheme }) })
      const complaints: string[] = []
      page.on('console', message => complaints.push(`console: ${message.text()}`))
      page.on('pageerror', error => complaints.push(`error: ${error.message}`))
      await page.goto(ui.url)
      return { page, complaints }
    }

    async function fill(page: Page, epochs: number, learningRate?: number): Promise<void> {
      await page.getByLabel('Network').selectOption(tiny.model)
      await page.getByLabel('Start from').selectOption('random weights')
      await page.locator('[name=epochs]').fill(String(epochs))
      await page.getByLabel('Batch size').fill(String(tiny.batchSize))
      await page.getByLabel('Image size').fill(String(tiny.inputSize))
      if (learningRate !== undefined) await page.getByLabel('Learning rate').fill(String(learningRate))
    }

    const said = (page: Page, text: string | RegExp) =>
      page.locator('#run-status').filter({ hasText: text }).waitFor()

    async function violations(page: Page): Promise<string[]> {
      await page.evaluate(await readFile(axe, 'utf8'))
      const found = await page.evaluate('axe.run().then(({ violations }) => violations)')
      return (found as { id: string; impact: string; nodes: { html: string }[] }[]).map(
        ({ id, impact, nodes }) => `${impact}: ${id}: ${nodes[0]!.html}`,
      )
    }

    it('trains, draws the curves, shows the report, and predicts with the result', async () => {
      const { page, complaints } = await open()
      await page.getByText('3 classes, 24 images in train, 12 images in val').waitFor()
      await fill(page, 3)
      await page.getByRole('button', { name: 'Start training' }).click()
      await said(page, 'Done. The files are in')
      assert.equal(await page.locator('#epochs-table tr').count(), 3)
      assert.equal(await page.locator('#loss-chart .line').count(), 3)
      assert.equal(await page.locator('#accuracy-chart .line').count(), 2)
      assert.deepEqual(await violations(page), [])

      const [report] = await Promise.all([
        page.waitForEvent('popup'),
        page.getByRole('link', { name: 'Open the report' }).click(),
      ])
      report.on('console', message => complaints.push(`report: ${message.text()}`))
      await report.reload()
      await report.getByRole('heading', { name: 'mobilenet_v2: mobilenet_v2-1' }).waitFor()
      await report.close()

      await page.getByRole('button', { name: 'Try the model' }).click()
      const image = join(photos, 'val/rows/0.png')
      await page.setInputFiles('#files', [image])
      await page.getByRole('status').filter({ hasText: '1 of 1 images' }).waitFor()
      using model = await loadModel(join(folder, 'runs/mobilenet_v2-1/best.pth'))
      const [best] = await predict(model, image)
      const shown = await page.locator('#results .prediction').first().innerText()
      assert.deepEqual(shown.trim().split(/\s+/), [best!.label, `${(100 * best!.score).toFixed(1)}%`])
      assert.match(await page.innerText('#card'), /mobilenet_v2-1, version 1.*on its validation images/s)
      assert.deepEqual(complaints, [])
      await page.close()
    })

    it('shows a page that is opened later the run so far, and fits a phone', async () => {
      const { page, complaints } = await open({ width: 360, height: 740 }, 'dark')
      await said(page, 'Done. The files are in')
      assert.equal(await page.locator('#epochs-table tr').count(), 3)
      assert.ok(Number(await page.evaluate('document.documentElement.scrollWidth')) <= 360)
      assert.deepEqual(await violations(page), [])
      assert.deepEqual(complaints, [])
      const keep = process.env.VISIONTORCH_TEST_SCREENSHOTS
      if (keep !== undefined) await page.screenshot({ path: join(keep, 'ui-360.png'), fullPage: true })
      await page.close()
    })

    it('stops a run and saves it, and then starts another, whose failure it shows', async () => {
      const { page } = await open()
      await fill(page, 1000)
      await page.getByRole('button', { name: 'Start training' }).click()
      await said(page, /Epoch \d+ of 1000/) // an epoch takes a moment only
      await page.getByRole('button', { name: 'Stop' }).click()
      await said(page, 'Stopped. The files are in')
      await saved('mobilenet_v2-2', 'last.pth')
      assert.ok(await page.getByRole('link', { name: 'Open the report' }).isHidden())

      await fill(page, 3, 1e12)
      await page.getByRole('button', { name: 'Start training' }).click()
      await page.getByRole('alert').filter({ hasText: 'loss became' }).waitFor()
      assert.ok(await page.getByRole('button', { name: 'Start training' }).isEnabled())
      await page.close()
    })
  })

  describe('without a browser', () => {
    it('describes the routes of training, and what starts a run, in /openapi.json', async () => {
      interface Operation {
        requestBody: { content: { 'application/json': { schema: { properties: object } } } }
        parameters: object[]
        security: object[]
      }
      const response = await fetch(`${ui.url}/openapi.json`)
      const { paths } = (await response.json()) as { paths: Record<string, Record<string, Operation>> }
      const training = Object.entries(paths).filter(([path]) => path.startsWith('/training'))
      assert.deepEqual(
        training.map(([path, methods]) => `${Object.keys(methods)} ${path}`),
        [
          'get /training',
          'get /training/events',
          'post /training/start',
          'post /training/stop',
          'get /training/{run}/report',
        ],
      )
      const { requestBody } = paths['/training/start']!.post!
      const { properties } = requestBody.content['application/json'].schema
      assert.deepEqual(
        Object.keys(properties).sort(),
        [...Object.keys(tiny), 'epochs', 'learningRate'].sort(),
      )
      const { parameters, security } = paths['/training/{run}/report']!.get!
      assert.deepEqual(parameters, [{ name: 'run', in: 'path', required: true, schema: { type: 'string' } }])
      assert.deepEqual(security, [])
    })

    it('refuses a path, an unknown option, and what train() refuses', async () => {
      const cases: [object, RegExp][] = [
        [{ ...tiny, weights: '/etc/passwd' }, /weights: expected one of DEFAULT, none/],
        [{ ...tiny, directory: '/tmp' }, /unknown option 'directory'/],
        [{ ...tiny, model: 'resnet5' }, /resnet/],
        [{ ...tiny, epochs: 0 }, /epochs/],
        [[], /expected a JSON object/],
      ]
      for (const [options, message] of cases) {
        const response = await start(options)
        assert.equal(response.status, 400)
        assert.match(((await response.json()) as { error: { message: string } }).error.message, message)
      }
      assert.equal((await fetch(`${ui.url}/training/no-run/report`)).status, 404)
    })

    it('refuses a second run and pages of other origins, and saves the run at Ctrl-C', async () => {
      assert.equal((await start({ ...tiny, epochs: 1000 })).status, 202)
      assert.equal((await start(tiny)).status, 409)
      const headers = { origin: 'https://evil.example' }
      assert.equal((await fetch(`${ui.url}/training/stop`, { method: 'POST', headers })).status, 403)
      const { body } = await fetch(`${ui.url}/training/events`)
      let directory: string | undefined
      let text = ''
      for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
        text += chunk
        directory ??= /"directory":"([^"]+)"/.exec(text)?.[1]
        if (text.includes('"type":"epoch"')) break
      }
      assert.equal(await ui.stop('SIGINT'), 0)
      await access(join(directory!, 'last.pth'))
      assert.match(ui.stderr, /continue with: visiontorch train --resume --out/)
    })

    it('asks for the key of --api-key', async () => {
      const locked = await ServeProcess.startUi(folder, photos, '--api-key', 'secret')
      assert.equal((await start(tiny, locked)).status, 401)
      assert.equal((await fetch(`${locked.url}/training/events`)).status, 401)
      assert.equal(await locked.stop('SIGINT'), 0)
    })

    it('says in one line why it cannot start', () => {
      const program = join(import.meta.dirname, '../../dist/cli/main.js')
      for (const [args, code, message] of [
        [[], 2, /expected DATA/],
        [[join(folder, 'none')], 1, /none/],
      ] as const) {
        const { status, stderr } = spawnSync(process.execPath, [program, 'ui', ...args], { encoding: 'utf8' })
        assert.equal(status, code, stderr)
        assert.match(stderr, message)
      }
    })
  })
})
