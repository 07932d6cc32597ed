import assert from 'node:assert/strict'
import { execFile, spawnSync } from 'node:child_process'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Browser, chromium, type Page } from 'playwright-core'
import { createHandler, type HandlerOptions, type Model, predict, toNodeListener } from '../../lib/index.js'
import { chromiumPath } from '../support/chromium.js'
import { buildDist } from '../support/dist.js'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { closeServers, listen, picture } from '../support/serving.js'
import { skip } from '../support/skip.js'
import { onOneThread } from '../support/small-network.js'
import { tinyModel } from '../support/tiny-model.js'

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js')

describe("the server's page", function () {
  this.timeout(120_000)
  onOneThread()
  let browser: Browser
  let model: Model
  let folder: string
  let files: string[]
  before(async function () {
    buildDist()
    if (!chromiumPath) skip(this, 'Chromium is not installed')
    browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] })
    model = await tinyModel()
    folder = await temporaryFolder()
    files = [0, 1].map(i => join(folder, `picture ${i}.png`))
    for (const [i, file] of files.entries()) await writeFile(file, await picture(i))
  })
  after(async () => {
    await browser?.close()
    await closeServers()
    await removeTemporaryFolders()
  })

  async function open(
    options: HandlerOptions = {},
    viewport = { width: 1280, height: 900 },
    colorScheme?: 'dark',
  ) {
    const url = await listen(toNodeListener(createHandler(model, options)))
    const page = await browser.newPage({ viewport, ...(colorScheme && { colorScheme }) })
    const complaints: string[] = []
    page.on('console', message => complaints.push(`console: ${message.text()}`))
    page.on('pageerror', error => complaints.push(`error: ${error.message}`))
    page.on('request', request => {
      if (!request.url().startsWith(url) && !/^(blob|data):/.test(request.url()))
        complaints.push(`request: ${request.url()}`)
    })
    await page.goto(url)
    return { page, complaints }
  }

  const done = (page: Page, text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()
  const choose = (page: Page, paths: string[]) => page.setInputFiles('#files', paths)

  it('has less than 60 kB, and loads nothing from other servers', async () => {
    const folder = join(import.meta.dirname, '../../dist/serve/page')
    const sizes = await Promise.all(
      ['index.html', 'page.css', 'page.js'].map(name => stat(join(folder, name))),
    )
    const total = sizes.reduce((sum, { size }) => sum + size, 0)
    assert.ok(total < 60_000, `${total} bytes`)
  })

  it("shows predict()'s predictions for chosen files", async () => {
    const { page, complaints } = await open()
    await choose(page, files)
    await done(page, '2 of 2 images')
    for (const [i, file] of files.entries()) {
      const expected = await predict(model, file)
      const shown = await page.locator('#results li').nth(i).locator('.prediction').allInnerTexts()
      const texts = expected.map(({ label, score }) => `${label}\n${(100 * score).toFixed(1)}%`)
      assert.deepEqual(
        shown.map(text => text.replaceAll(/\s+/g, '\n').trim()),
        texts,
      )
    }
    assert.match(await page.innerText('#card'), /mobilenet_v2.*32 × 32/s)
    assert.deepEqual(complaints, [])
    await page.close()
  })

  it('accepts dropped and pasted images', async () => {
    const { page, complaints } = await open()
    const bytes = (await readFile(files[0]!)).toString('base64')
    for (const type of ['drop', 'paste']) {
      const transfer = type === 'drop' ? 'dataTransfer' : 'clipboardData'
      const event = type === 'drop' ? 'DragEvent' : 'ClipboardEvent'
      await page.evaluate(
        `
        const transfer = new DataTransfer()
        transfer.items.add(new File([Uint8Array.from(atob('${bytes}'), c => c.charCodeAt(0))], '${type}.png', { type: 'image/png' }))
        document.dispatchEvent(new ${event}('${type}', { ${transfer}: transfer, bubbles: true, cancelable: true }))
      `
          .replace(/^/, '{')
          .concat('}'),
      )
    }
    await done(page, '2 of 2 images')
    assert.deepEqual(await page.locator('.name').allInnerTexts(), ['drop.png', 'paste.png'])
    assert.deepEqual(complaints, [])
    await page.close()
  })

  it('says why a file is not an image, and shows names as text', async () => {
    const { page } = await open()
    const hostile = '<img src=x onerror=alert(1)>.png'
    await page.setInputFiles('#files', {
      name: hostile,
      mimeType: 'image/png',
      buffer: Buffer.from('no image'),
    })
    await done(page, '1 of 1 images, 1 could not be read')
    assert.match(await page.innerText('#results'), /expected an image, but it is text/)
    assert.equal(await page.innerText('.name'), hostile)
    await page.close()
  })

  it('takes 200 files at once, more than the queue holds', async () => {
    const { page } = await open({ maxQueue: 2 })
    await choose(
      page,
      Array.from({ length: 200 }, (_, i) => files[i % 2]!),
    )
    await done(page, '200 of 200 images')
    assert.equal(await page.locator('#results li').count(), 200)
    assert.equal(await page.locator('#results .error').count(), 0)
    await page.getByRole('button', { name: 'Clear' }).click()
    assert.equal(await page.locator('#results li').count(), 0)
    await page.close()
  })

  it('offers the results as JSON and CSV, and TypeScript code that calls the server', async () => {
    const { page } = await open()
    await page.setInputFiles('#files', {
      name: '=1+1,"x".png',
      mimeType: 'image/png',
      buffer: await picture(1),
    })
    await done(page, '1 of 1 images')
    const download = async (name: string) => {
      const [event] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('button', { name }).click(),
      ])
      return readFile(await event.path(), 'utf8')
    }
    const [result] = JSON.parse(await download('Download JSON'))
    assert.deepEqual(result.predictions, await predict(model, await picture(1)))
    const [header, first] = (await download('Download CSV')).split('\r\n')
    assert.equal(header, 'file,model,rank,label,index,score,error')
    assert.ok(first!.startsWith(`"'=1+1,""x"".png",default,1,${result.predictions[0].label},`), first)
    assert.match(await page.innerText('#typescript'), /await fetch\('http:.*predict\?topK=5'/)
    await page.close()
  })

  it('shows a curl command that works', async function () {
    if (spawnSync('curl', ['--version']).status !== 0) skip(this, 'curl is not installed')
    const { page } = await open()
    await page.getByText('mobilenet_v2').waitFor()
    const curl = await page.innerText('#curl')
    const { stdout } = await promisify(execFile)('sh', ['-c', curl.replace('photo.jpg', `"${files[0]}"`)])
    assert.deepEqual(JSON.parse(stdout).predictions, await predict(model, files[0]!))
    await page.close()
  })

  it('asks for the API key', async () => {
    const { page } = await open({ apiKey: 'secret' })
    await page.getByLabel('This server asks for an API key').fill('wrong')
    await page.getByRole('button', { name: 'Continue' }).click()
    await done(page, 'This key is wrong')
    await page.getByLabel('This server asks for an API key').fill('secret')
    await page.keyboard.press('Enter')
    await page.getByText('mobilenet_v2').waitFor()
    await choose(page, [files[0]!])
    await done(page, '1 of 1 images')
    assert.match(await page.innerText('#curl'), /Authorization: Bearer \$KEY/)
    await page.close()
  })

  for (const [what, viewport, colorScheme] of [
    ['on a desktop', { width: 1280, height: 900 }, undefined],
    ['on a phone in the dark', { width: 360, height: 740 }, 'dark'],
  ] as const) {
    it(`fits its window and is accessible ${what}`, async () => {
      const { page, complaints } = await open({}, viewport, colorScheme)
      await choose(page, [...files, files[0]!])
      await done(page, '3 of 3 images')
      assert.ok(Number(await page.evaluate('document.documentElement.scrollWidth')) <= viewport.width)
      await page.evaluate(await readFile(axe, 'utf8'))
      const violations = await page.evaluate('axe.run().then(({ violations }) => violations)')
      const found = (violations as { id: string; impact: string; nodes: { html: string }[] }[]).map(
        ({ id, impact, nodes }) => `${impact}: ${id}: ${nodes[0]!.html}`,
      )
      assert.deepEqual(found, [])
      assert.deepEqual(complaints, [])
      const keep = process.env.VISIONTORCH_TEST_SCREENSHOTS
      if (keep !== undefined)
        await page.screenshot({ path: join(keep, `serve-${viewport.width}.png`), fullPage: true })
      await page.close()
    })
  }

  it('can be turned off', async () => {
    const handler = createHandler(model, { page: false })
    assert.equal((await handler(new Request('http://localhost/'))).status, 404)
  })
})
