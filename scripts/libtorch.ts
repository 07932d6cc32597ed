// Finds the LibTorch to build against, and brings it into the user's cache where there is none: once for a machine.
import { execFileSync, spawnSync } from 'node:child_process'
import { createWriteStream, existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'
import { formatBytes, note, type Progress, progress } from '../lib/cli/terminal.js'
import { extractLibTorch } from '../lib/libtorch/archive.js'
import { store } from '../lib/libtorch/store.js'
import { cacheDirectory, inspectInstallation, LIBTORCH_VERSION, Refusal } from '../lib/loader/installation.js'
import { fail } from './fail.js'

type Source = { name: string; fill(directory: string): Promise<void> }

/** The directory of LibTorch `version`, with headers. */
export async function ensureLibTorch(version = LIBTORCH_VERSION): Promise<string> {
  const named = process.env.VISIONTORCH_LIBTORCH || process.env.LIBTORCH
  if (named) return check(named, version)
  const name = `${version}-cpu`
  const cached = join(cacheDirectory(), name)
  if (existsSync(cached)) return check(cached, version)

  note(`LibTorch ${version} is not in ${cacheDirectory()} yet`)
  const failures: string[] = []
  for (const source of [pythonPackage(version), pytorchOrg(version), pipWheel(version)]) {
    try {
      const directory = await store(name, target => source.fill(target))
      note(`LibTorch ${version}, from ${source.name}, lies in ${directory}`)
      return directory
    } catch (error) {
      failures.push(`${source.name}: ${reason(error)}`)
      note(`  ${failures.at(-1)}`)
    }
  }
  fail(
    `LibTorch ${version} could not be had from anywhere:`,
    ...failures.map(failure => `  ${failure}`),
    `Download and unpack ${archiveUrl(version)}, and name its directory in VISIONTORCH_LIBTORCH.`,
  )
}

/** PyTorch in the Python that is on the PATH, if it is the CPU build of this version: copied, as environments go. */
function pythonPackage(version: string): Source {
  return {
    name: "Python's torch",
    async fill(directory) {
      const code = 'import importlib.util as u; print((u.find_spec("torch") or exit("no torch")).origin)'
      const { status, stdout } = spawnSync('python3', ['-c', code], { encoding: 'utf8' })
      if (status !== 0) throw new Error('python3 has no torch')
      const installation = inspectInstallation(join(stdout.trim(), '..'), version)
      if (installation.cuda) throw new Error('is a CUDA build, which needs its other packages beside it')
      for (const part of ['include', 'lib', 'version.py'])
        await cp(join(installation.directory, part), join(directory, part), { recursive: true })
    },
  }
}

function pytorchOrg(version: string): Source {
  return {
    name: 'download.pytorch.org',
    async fill(directory) {
      await inTemporary(async temporary => {
        const archive = join(temporary, 'libtorch.zip')
        await download(archiveUrl(version), archive)
        await unpack(archive, directory)
      })
    },
  }
}

/** The CPU wheel, from whatever index or directory pip is configured for: its `+cpu` is found by its full version. */
function pipWheel(version: string): Source {
  return {
    name: 'pip download',
    async fill(directory) {
      await inTemporary(async temporary => {
        const options = ['--no-deps', '--only-binary', ':all:', '--dest', temporary]
        execFileSync('python3', ['-m', 'pip', 'download', ...options, `torch==${version}+cpu`], {
          stdio: ['ignore', 'ignore', 'pipe'],
        })
        const [wheel] = await readdir(temporary)
        await unpack(join(temporary, wheel!), directory)
      })
    },
  }
}

function archiveUrl(version: string): string {
  return `https://download.pytorch.org/libtorch/cpu/libtorch-shared-with-deps-${version}%2Bcpu.zip`
}

async function download(url: string, path: string): Promise<void> {
  const response = await fetch(url)
  if (!response.ok || response.body === null) throw new Error(`${url}: HTTP ${response.status}`)
  const total = Number(response.headers.get('content-length'))
  const report = reporter('downloading')
  let done = 0
  const counted = async function* (chunks: AsyncIterable<Uint8Array>) {
    for await (const chunk of chunks) {
      done += chunk.length
      report(done, total)
      yield chunk
    }
  }
  await pipeline(Readable.fromWeb(response.body as ReadableStream), counted, createWriteStream(path))
}

function unpack(archive: string, directory: string): Promise<void> {
  return extractLibTorch(archive, directory, { onProgress: reporter('unpacking') })
}

/** A bar on a terminal, else a line for each quarter. */
function reporter(label: string): (done: number, total: number) => void {
  let bar: Progress | undefined
  let quarter = 0
  return (done, total) => {
    bar ??= progress(label, total, formatBytes)
    bar.update(done)
    if (done >= total) bar.stop()
    if (process.stderr.isTTY || done < (total * quarter) / 4) return
    note(`  ${label}: ${formatBytes(done)} of ${formatBytes(total)}`)
    quarter = Math.floor((done / total) * 4) + 1
  }
}

async function inTemporary(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'visiontorch-'))
  try {
    await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function check(directory: string, version: string): string {
  try {
    return inspectInstallation(directory, version).directory
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    fail(`${directory}: ${error.message}`, 'Remove it, or name another directory in VISIONTORCH_LIBTORCH.')
  }
}

/** The last line of what pip printed is its error; a failed fetch has the interesting part in its cause. */
function reason(error: unknown): string {
  const { stderr, cause, message } = error as Error & { stderr?: Buffer }
  const printed = stderr?.toString().trim().split('\n').at(-1)
  return printed || (cause instanceof Error && cause.message) || message
}
