import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'
import sharp from 'sharp'
import type { ReportData } from '../../lib/report/data.js'
import { renderReport } from '../../lib/report/render.js'
import { writeReport } from '../../lib/report/report.js'
import { resolveOptions } from '../../lib/train/options.js'
import { chromiumPath } from '../support/chromium.js'
import { sample } from '../support/report.js'
import { skip } from '../support/skip.js'

describe('a report', () => {
  let directory: string
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'visiontorch-report-'))
  })
  afterEach(() => rm(directory, { recursive: true }))

  it('is report.html, results.png and confusion_matrix.png, and nothing else', async () => {
    const paths = await writeReport(directory, sample(5, 20))
    const names = ['confusion_matrix.png', 'report.html', 'results.png']
    assert.deepEqual(
      paths.sort(),
      names.map(name => join(directory, name)),
    )
    assert.deepEqual((await readdir(directory)).sort(), names)
    for (const name of names.filter(name => name.endsWith('.png'))) {
      const { channels } = await sharp(join(directory, name)).stats()
      assert.ok(channels[0]!.stdev > 5, `${name} is blank`)
    }
  })

  it('leaves the event loop free while it is drawn', async () => {
    const data = sample(40, 100)
    await writeReport(directory, data) // loads the modules that a report needs
    const before = performance.eventLoopUtilization()
    await writeReport(directory, data)
    const { utilization } = performance.eventLoopUtilization(before)
    assert.ok(utilization < 0.5, `the event loop was busy for ${Math.round(100 * utilization)}% of the time`)
  })

  it('of an evaluation has no curves, and one of a run without evaluation no matrix', async () => {
    const data = sample(3, 4)
    await writeReport(join(directory, 'evaluation'), { ...data, history: [], best: null })
    assert.deepEqual((await readdir(join(directory, 'evaluation'))).sort(), [
      'confusion_matrix.png',
      'report.html',
    ])
    await writeReport(join(directory, 'run'), { ...data, evaluation: null })
    assert.deepEqual((await readdir(join(directory, 'run'))).sort(), ['report.html', 'results.png'])
  })

  it('has the figures by class, the confusions and the configuration as text', async () => {
    const html = await pageOf(sample(6, 5))
    for (const text of [
      'a class with quite a long name',
      'Most frequent confusions',
      'optimizer.weightDecay',
      '0.0005',
    ]) {
      assert.ok(html.includes(text), `'${text}' is missing`)
    }
  })

  it('shows names of classes, files and options as text, whatever they contain', async () => {
    const hostile = `"><script>alert('x')</script>&amp;`
    const data = sample(2, 3)
    data.evaluation!.classes[0]!.label = hostile
    const worst = { file: hostile, label: hostile, predicted: hostile, score: 0.5, labelScore: 0.5 }
    const { html } = await renderReport({
      data: { ...data, title: hostile, config: { [hostile]: hostile } },
      thumbnails: [{ ...worst, picture: null }],
    })
    assert.ok(!html.includes('<script>alert'))
    assert.equal(html.match(/<script/g)?.length, 1)
  })

  it('shows figures as numbers, whatever a checkpoint has in their place', async () => {
    const data = sample(2, 3)
    for (const row of data.history)
      for (const name of Object.keys(row) as (keyof typeof row)[])
        if (name !== 'epoch') Object.assign(row, { [name]: '<img src=x onerror=alert(1)>' })
    const html = await pageOf(data)
    assert.ok(!html.includes('<img'))
    assert.match(html, /<td>NaN<\/td>/)
  })

  it('allows only its own script and style sheet, by their hashes', async () => {
    const html = await pageOf(sample(3, 3))
    const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)![1]!
    assert.ok(!policy.includes('unsafe'))
    for (const tag of ['script', 'style']) {
      const content = new RegExp(`<${tag}>(.*?)</${tag}>`, 's').exec(html)![1]!
      const hash = createHash('sha256').update(content).digest('base64')
      assert.ok(policy.includes(`${tag}-src 'sha256-${hash}'`), `${tag} is not allowed`)
    }
    assert.ok(!/<[^>]* (style|on\w+)=/.test(html), 'there is an inline style or handler')
  })

  it('omits the top-5 accuracy for five or fewer classes', async () => {
    assert.doesNotMatch(await pageOf(sample(5, 3)), /top 5/i)
    assert.match(await pageOf(sample(6, 3)), /top 5/i)
  })

  it('starts with the options that differ from the defaults', async () => {
    const options = { ...resolveOptions({ batchSize: 8, optimizer: 'adamw' }) }
    const html = await pageOf({ ...sample(2, 3), config: { options, device: 'cpu' } })
    const [, differing, rest] = /differ from the defaults(.*?)<details>(.*)/s.exec(html)!
    const names = Array.from(differing!.matchAll(/<dt>([^<]*)/g), match => match[1])
    assert.deepEqual(names, [
      'batchSize',
      'optimizer.name',
      'optimizer.betas',
      'optimizer.eps',
      'optimizer.weightDecay',
    ])
    assert.match(rest!, /<dt>learningRate<.*<dt>device</s)
  })

  it('of 10,000 classes stays small, shows the most confused ones, and says where to find all', async function () {
    this.timeout(60_000)
    const data = sample(10_000, 5)
    const paths = await writeReport(directory, data)
    const html = await readFile(join(directory, 'report.html'), 'utf8')
    assert.ok(html.length < 500_000, `report.html has ${html.length} characters`)
    assert.match(html, /the 40 most confused of 10,000 classes;.*confusions\.csv/)
    assert.match(html, /The 100 weakest of 10,000 classes; classes\.csv in the same folder has all/)
    assert.match(html, /The 12 of [\d,]+ confusions with the most images/)
    assert.equal(paths.length, 5)
    const rows = (await readFile(join(directory, 'classes.csv'), 'utf8')).trimEnd().split('\n')
    assert.equal(rows.length, 10_001)
    assert.match(rows[5]!, /^tulip <script>,0\.\d+/)
  })

  it('writes names into tables so that no spreadsheet runs them', async () => {
    const data = sample(120, 2)
    data.evaluation!.classes[0]!.label = '=HYPERLINK("http://x")'
    data.evaluation!.classes[1]!.label = 'a, b'
    await writeReport(directory, data)
    const rows = (await readFile(join(directory, 'classes.csv'), 'utf8')).split('\n')
    assert.ok(rows[1]!.startsWith(`"'=HYPERLINK(""http://x"")",`))
    assert.ok(rows[2]!.startsWith('"a, b",'))
  })

  it('shows the worst predictions as small pictures, and names missing files', async () => {
    const data = await withImages(sample(3, 3), directory)
    await rm(data.evaluation!.worst[1]!.file)
    await writeReport(directory, data)
    const html = await readFile(join(directory, 'report.html'), 'utf8')
    assert.equal(html.match(/<img src="data:image\/webp;base64,/g)?.length, 5)
    assert.equal(html.match(/can no longer be read/g)?.length, 1)
  })

  it('accepts a run whose figures are not finite', async () => {
    const data = sample(2, 3)
    const [first, second, third] = data.history
    const history = [first!, { ...second!, validationLoss: Number.NaN }, { ...third!, trainLoss: Infinity }]
    assert.match(await pageOf({ ...data, history }), /NaN/)
  })

  it('that cannot be written is an error with a code', async () => {
    const file = join(directory, 'file')
    await writeFile(file, '')
    await assert.rejects(writeReport(join(file, 'run'), sample(2, 2)), { code: 'ERR_FILE_WRITE' })
  })

  describe(`in a browser${chromiumPath ? '' : ' (skipped: no Chromium in PATH, nor VISIONTORCH_TEST_CHROMIUM)'}`, function () {
    this.timeout(120_000)
    let browser: Browser
    before(async function () {
      if (!chromiumPath) skip(this, 'Chromium is not installed')
      browser = await chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox'] })
    })
    after(() => browser?.close())

    for (const colorScheme of ['light', 'dark'] as const) {
      it(`is drawn in the ${colorScheme} scheme, without an error and without a request`, async () => {
        await writeReport(directory, await withImages(sample(6, 20), directory))
        const { page, complaints } = await open(directory, { colorScheme, width: 1280, height: 900 })
        assert.match(
          await page.innerText('body'),
          /mobilenet_v2 on photos.*Worst predictions.*Configuration/s,
        )
        const background = String(await page.evaluate('getComputedStyle(document.body).backgroundColor'))
        const brightness = Number(/\d+/.exec(background)![0])
        assert.ok(colorScheme === 'light' ? brightness > 200 : brightness < 60, `the page is ${background}`)
        const charts = await page.locator('figure svg').all()
        assert.equal(charts.length, 5)
        for (const chart of charts) {
          const { channels } = await sharp(await chart.screenshot()).stats()
          assert.ok(channels[0]!.stdev > 3, 'a chart is blank')
        }
        await keep(page, `report-${colorScheme}`)
        assert.deepEqual(complaints, [])
      })
    }

    it('shows the figures of the epoch under the pointer', async () => {
      await writeReport(directory, sample(6, 20))
      const { page } = await open(directory, { colorScheme: 'light', width: 1280, height: 900 })
      const chart = (await page.locator('figure svg').first().boundingBox())!
      await page.mouse.move(chart.x + chart.width / 2, chart.y + chart.height / 2)
      assert.match(await page.innerText('#tip'), /^Epoch \d+: training [\d.]+, validation [\d.]+$/)
    })

    it('fits the width of a phone, even with 200 classes', async () => {
      await writeReport(directory, await withImages(sample(200, 60), directory))
      const { page, complaints } = await open(directory, { colorScheme: 'light', width: 375, height: 800 })
      assert.ok(Number(await page.evaluate('document.documentElement.scrollWidth')) <= 375)
      await keep(page, 'report-phone')
      assert.deepEqual(complaints, [])
    })

    async function open(
      directory: string,
      { colorScheme, ...viewport }: { colorScheme: 'light' | 'dark'; width: number; height: number },
    ): Promise<{ page: Page; complaints: string[] }> {
      const page = await browser.newPage({ colorScheme, viewport })
      const complaints: string[] = []
      page.on('console', message => complaints.push(`console: ${message.text()}`))
      page.on('pageerror', error => complaints.push(`error: ${error.message}`))
      page.on('request', request => {
        if (!/^(file|data):/.test(request.url())) complaints.push(`request: ${request.url()}`)
      })
      await page.goto(pathToFileURL(join(directory, 'report.html')).href)
      return { page, complaints }
    }
  })
})

/** Makes only the page, which needs no thread and writes no file. */
async function pageOf(data: ReportData): Promise<string> {
  return (await renderReport({ data, thumbnails: [] })).html
}

/** Makes six poorly predicted images: gradients of several shapes. */
async function withImages(data: ReportData, directory: string): Promise<ReportData> {
  const folder = join(directory, 'images')
  await mkdir(folder)
  const labels = data.evaluation!.classes.map(({ label }) => label)
  const worst = await Promise.all(
    Array.from({ length: 6 }, async (_, index) => {
      const [width, height] = [200 + 60 * index, 420 - 50 * index]
      const pixels = Buffer.from(
        Array.from({ length: width * height }, (_, at) => [
          at % width,
          Math.floor(at / width),
          40 * index,
        ]).flat(),
      )
      const file = join(folder, `image ${index}.png`)
      await sharp(pixels, { raw: { width, height, channels: 3 } })
        .png()
        .toFile(file)
      const label = labels[index % labels.length]!
      const predicted = labels[(index * 2 + 1) % labels.length]!
      return { file, label, predicted, score: 0.9 - index / 20, labelScore: 0.01 * (index + 1) }
    }),
  )
  data.evaluation!.worst = worst
  return data
}

/** Saves a screenshot of the whole page if `VISIONTORCH_TEST_SCREENSHOTS` names a directory. */
async function keep(page: Page, name: string): Promise<void> {
  const directory = process.env.VISIONTORCH_TEST_SCREENSHOTS
  if (directory) await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true })
}
