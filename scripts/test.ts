// Runs mocha, on the files that were named or on all, and closes with the line `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const named = process.argv.slice(2)
const specs = named.some(argument => argument.endsWith('.ts')) ? named : [...named, 'test/**/*.test.ts']

const directory = mkdtempSync(join(tmpdir(), 'visiontorch-test-'))
const report = join(directory, 'report.json')
const result = spawnSync(process.execPath, ['node_modules/mocha/bin/mocha.js', ...specs], {
  stdio: 'inherit',
  env: { ...process.env, VISIONTORCH_TEST_REPORT: report },
})
let stats = { passes: 0, failures: 1, pending: 0 }
try {
  stats = JSON.parse(readFileSync(report, 'utf8'))
} catch {
  console.error('mocha ended without a report')
}
rmSync(directory, { recursive: true })
console.log(`${stats.passes} passed, ${stats.failures} failed, ${stats.pending} skipped`)
process.exit(result.status === 0 && stats.failures === 0 && stats.passes > 0 ? 0 : 1)
