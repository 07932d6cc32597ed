// npm run screenshots: runs the demo and writes the README's pictures of it into docs/images. Needs Chromium.
import { spawn } from 'node:child_process'
import { join, resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { pathToFileURL } from 'node:url'
import { chromium, type PageScreenshotOptions } from 'playwright-core'
import sharp from 'sharp'
import { chromiumPath } from '../test/support/chromium.js'

const root = join(import.meta.dirname, '..')

// The shell puts the progress on stderr and the rest in the order in which a terminal shows them.
const demo = spawn('sh', ['-c', 'npm run --silent demo 2>&1'], {
  cwd: root,
  stdio: ['ignore', 'pipe', 'inherit'],
})
const output = (await text(demo.stdout)).replaceAll(`${root}/`, '')
const report = /The run's files are in (\S+):/.exec(output)?.[1]
if (report === undefined) throw new Error(`expected the demo to name its run's folder, got:\n${output}`)
const [training] = output.split('\n\nBy class')

const browser = await chromium.launch({ executablePath: chromiumPath!, args: ['--no-sandbox'] })
const page = await browser.newPage({ viewport: { width: 860, height: 100 } })
await page.setContent(`<style>
  body { margin: 0; padding: 18px 22px; background: #1e2127; color: #d8dee9; font: 14px/1.35 'DejaVu Sans Mono', monospace }
  pre { margin: 0; font: inherit }
</style><pre></pre>`)
await page.locator('pre').evaluate((pre, shown) => {
  pre.textContent = shown
}, `$ npm run demo\n${training!.trimEnd()}`)
await shoot('train.png', { fullPage: true })

await page.setViewportSize({ width: 1280, height: 790 })
await page.goto(pathToFileURL(resolve(root, report, 'report.html')).href)
await shoot('report.png')
await browser.close()

async function shoot(name: string, options: PageScreenshotOptions = {}): Promise<void> {
  const picture = sharp(await page.screenshot(options)).png({ palette: true, colors: 64 })
  await picture.toFile(join(root, 'docs/images', name))
}
