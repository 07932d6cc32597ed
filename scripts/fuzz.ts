// Builds the targets of test/fuzz with Clang, and runs each for a while:
//   npm run fuzz                          a minute in total
//   npm run fuzz -- --seconds 3600        an hour in total
//   npm run fuzz -- pickle --seconds 60   one target
//   npm run fuzz -- --minimize            also reduces the corpus to inputs that reach new code
// An input that fails is written to build/fuzz/findings and ends the run with exit code 1.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { note, print } from '../lib/cli/terminal.js'
import { fail } from './fail.js'
import { ensureLibTorch } from './libtorch.js'

/** The largest input of each target, in bytes. */
const targets: Readonly<Record<string, number>> = {
  checkpoint: 1 << 16,
  pickle: 1 << 13,
  state_dict: 1 << 14,
  image: 1 << 14,
}
const source = 'test/fuzz'
const build = 'build/fuzz'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: 'string', default: '60' }, minimize: { type: 'boolean', default: false } },
})
const seconds = Number(values.seconds)
if (!(seconds > 0)) fail(`--seconds: expected a number above 0, got '${values.seconds}'`)
const unknown = positionals.filter(name => !(name in targets))
if (unknown.length > 0)
  fail(`expected targets among ${Object.keys(targets).join(', ')}, got ${unknown.join(', ')}`)
const chosen = positionals.length > 0 ? positionals : Object.keys(targets)

const compiler = ['clang++', 'clang++-19', 'clang++-18', 'clang++-17', 'clang++-16'].find(
  name => spawnSync(name, ['--version']).status === 0,
)
if (compiler === undefined)
  fail(
    'Clang with libFuzzer is needed; found none.',
    'Install it: apt-get install clang-19 libclang-rt-19-dev',
  )
run(
  'cmake',
  '-S',
  source,
  '-B',
  build,
  `-DCMAKE_CXX_COMPILER=${compiler}`,
  `-DLIBTORCH=${await ensureLibTorch()}`,
)
run('cmake', '--build', build, '--parallel', String(availableParallelism()))

const results = chosen.map(target => ({ target, ...fuzz(target) }))
for (const { target, executions, failed } of results)
  print(`${target}: ${executions.toLocaleString('en-US')} executions${failed ? ', FAILED' : ''}`)
process.exit(results.some(({ failed }) => failed) ? 1 : 0)

function fuzz(target: string): { executions: number; failed: boolean } {
  const findings = join(build, 'findings')
  const grown = join(build, 'corpus', target) // the inputs that this run adds stay out of the source tree
  const seeds = join(source, 'corpus', target)
  for (const folder of [findings, grown]) mkdirSync(folder, { recursive: true })
  note(`${target}: ${Math.round(seconds / chosen.length)} s`)
  const { status, stderr } = libfuzzer(target, [
    grown,
    seeds,
    `-max_total_time=${Math.max(1, Math.round(seconds / chosen.length))}`,
    `-max_len=${targets[target]}`,
    `-artifact_prefix=${findings}/${target}-`,
    '-rss_limit_mb=4096',
    '-timeout=120', // wall-clock time; the targets themselves limit the processor time
    '-print_final_stats=1',
  ])
  const executions = Number(/number_of_executed_units: (\d+)/.exec(stderr)?.[1] ?? 0)
  const failed = status !== 0 || executions === 0
  if (failed) process.stderr.write(stderr.slice(-8000))
  else if (values.minimize) minimize(target, grown, seeds)
  return { executions, failed }
}

function minimize(target: string, grown: string, seeds: string): void {
  const merged = join(build, 'merged')
  rmSync(merged, { recursive: true, force: true })
  mkdirSync(merged, { recursive: true })
  libfuzzer(target, ['-set_cover_merge=1', merged, seeds, grown])
  const before = readdirSync(seeds).length
  rmSync(seeds, { recursive: true })
  cpSync(merged, seeds, { recursive: true })
  if (!existsSync(seeds)) renameSync(merged, seeds)
  note(`${target}: ${before} to ${readdirSync(seeds).length} seeds`)
}

function libfuzzer(target: string, args: readonly string[]) {
  return spawnSync(join(build, `fuzz_${target}`), args, {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      // LibTorch is compiled without sanitizers, so its containers look like overflows to ASan; some of its objects are
      // never freed.
      ASAN_OPTIONS: 'detect_container_overflow=0:detect_leaks=0:allocator_may_return_null=1',
      UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    },
  })
}

function run(command: string, ...args: string[]): void {
  const { status } = spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  if (status !== 0) fail(`${command} failed`)
}
