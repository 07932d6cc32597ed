// Prints the folder in the user's cache with transformers.js, with which a test compares. Installs it in the first call.
// The test finds it by VISIONTORCH_TEST_TRANSFORMERS.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { note } from '../lib/cli/terminal.js'
import { cacheDirectory } from '../lib/libtorch/installation.js'

const VERSION = '4.3.2'

const folder = join(cacheDirectory(), `../reference-transformers-${VERSION}`)
const complete = join(folder, 'complete')
if (!existsSync(complete)) {
  note(`installing transformers.js ${VERSION} into ${folder}`)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n')
  // Without install scripts, because onnxruntime-node's would download CUDA.
  execFileSync(
    'npm',
    ['install', '--ignore-scripts', '--no-audit', '--no-fund', `@huggingface/transformers@${VERSION}`],
    { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  writeFileSync(complete, '')
}
console.log(folder)
