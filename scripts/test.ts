// Runs mocha on the named files, or on all; with --large, also the tests of the largest networks. Shows why tests were skipped, and
// ends with the line `N passed, N failed, N skipped`. In CI, a test that is skipped for a reason that is not in expectedInCI counts
// as failed.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

interface Report {
  passes: number
  failures: number
  pending: number
  skips: { title: string; reason?: string }[]
}

/** The reasons for which tests are skipped on the machines that run CI. */
const expectedInCI = [
  'LibTorch sees no CUDA device',
  /^this processor does not have /,
  'root may write anywhere',
  'mounting a read-only system takes root, unshare and setpriv',
  'more than 100 million parameters (npm test -- --large)',
  'slow (npm test -- --large)',
]

const named = process.argv.slice(2).filter(argument => argument !== '--large')
const specs = named.some(argument => argument.endsWith('.ts')) ? named : [...named, 'test/**/*.test.ts']

const directory = mkdtempSync(join(tmpdir(), 'visiontorch-test-'))
const path = join(directory, 'report.json')
const result = spawnSync(process.execPath, ['node_modules/mocha/bin/mocha.js', ...specs], {
  stdio: 'inherit',
  env: {
    ...process.env,
    VISIONTORCH_TEST_REPORT: path,
    ...(process.argv.includes('--large') && { VISIONTORCH_TEST_LARGE: '1' }),
  },
})
let report: Report = { passes: 0, failures: 1, pending: 0, skips: [] }
try {
  report = JSON.parse(readFileSync(path, 'utf8'))
} catch {
  console.error('mocha ended without a report')
}
rmSync(directory, { recursive: true })

const unexpected = report.skips.filter(
  ({ reason = '' }) =>
    !expectedInCI.some(known => (typeof known === 'string' ? known === reason : known.test(reason))),
)
showSkips(report.skips)
let { failures } = report
if (process.env.CI && unexpected.length > 0) {
  console.error('In CI, no test may be skipped for these reasons:')
  showSkips(unexpected)
  failures += unexpected.length
}
console.log(`${report.passes} passed, ${failures} failed, ${report.pending} skipped`)
process.exit(result.status === 0 && failures === 0 && report.passes > 0 ? 0 : 1)

/** One line per reason, with the number of tests. Tests without a reason have a line each. */
function showSkips(skips: Report['skips']): void {
  const counts = new Map<string, number>()
  for (const { title, reason } of skips) {
    const line = reason ?? `no reason given by '${title}'`
    counts.set(line, (counts.get(line) ?? 0) + 1)
  }
  for (const [line, count] of counts)
    console.log(`Skipped ${count} ${count === 1 ? 'test' : 'tests'}: ${line}`)
}
