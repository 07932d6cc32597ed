// Finds the LibTorch to build against. If there is none, installs it in the user's cache, once per machine.
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { formatBytes, note, type Progress, progress } from '../lib/cli/terminal.js'
import { archiveUrl, type InstallOptions, installLibTorch } from '../lib/libtorch/install.js'
import {
  cacheDirectory,
  inspectInstallation,
  LIBTORCH_VERSION,
  Refusal,
} from '../lib/libtorch/installation.js'
import { store } from '../lib/libtorch/store.js'
import { crossLibTorch } from './cross.js'
import { fail } from './fail.js'
import { host } from './target.js'

/** Returns the directory of LibTorch, with headers. If there is none, ends the script with a remedy. */
export async function ensureLibTorch(): Promise<string> {
  const named = process.env.VISIONTORCH_LIBTORCH || process.env.LIBTORCH
  const directory = named || (await cachedLibTorch(LIBTORCH_VERSION))
  if (directory instanceof Unavailable)
    fail(
      ...directory.lines,
      `Download and unpack ${archiveUrl(LIBTORCH_VERSION, 'cpu')}, and name its directory in VISIONTORCH_LIBTORCH.`,
    )
  try {
    return inspectInstallation(directory, LIBTORCH_VERSION).directory
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    fail(`${directory}: ${error.message}`, 'Remove it, or name another directory in VISIONTORCH_LIBTORCH.')
  }
}

/** The attempts, one per line. */
export class Unavailable {
  constructor(readonly lines: readonly string[]) {}
}

/** Returns the directory of the CPU build in the user's cache. The first call on a machine installs it there. */
export async function cachedLibTorch(version: string): Promise<string | Unavailable> {
  const cached = join(cacheDirectory(), `${version}-cpu`)
  if (existsSync(cached)) return cached

  note(`LibTorch ${version} is not in ${cacheDirectory()} yet`)
  const failures: string[] = []
  const sources = {
    "Python's torch": () => fromPython(version),
    ...(host.name === 'linux-x64'
      ? {
          'download of the archive': () => installLibTorch('cpu', shown(), version),
          'pip download': () => fromWheel(version),
        }
      : { 'pip download': () => crossLibTorch(host, `${LIBTORCH_VERSION}-cpu`) }),
  }
  for (const [name, source] of Object.entries(sources)) {
    try {
      const directory = await source()
      note(`LibTorch ${version} is in ${directory} (${name})`)
      return directory
    } catch (error) {
      failures.push(`  ${name}: ${reason(error)}`)
      note(failures.at(-1)!)
    }
  }
  return new Unavailable([`LibTorch ${version} could not be obtained from anywhere:`, ...failures])
}

/** Copies PyTorch from the Python on the PATH if it is the CPU build of this version. A copy, because environments get deleted. */
async function fromPython(version: string): Promise<string> {
  const code = 'import importlib.util as u; print((u.find_spec("torch") or exit("no torch")).origin)'
  const { status, stdout } = spawnSync('python3', ['-c', code], { encoding: 'utf8' })
  if (status !== 0) throw new Error('found no python3 with torch')
  const found = inspectInstallation(dirname(stdout.trim()), version)
  if (found.cuda) throw new Error('is a CUDA build, which needs other packages next to it')
  return store(`${version}-cpu`, async directory => {
    for (const part of ['include', 'lib', 'version.py'])
      await cp(join(found.directory, part), join(directory, part), { recursive: true })
    const licenses = join(found.directory, `../torch-${found.version}.dist-info/licenses`)
    if (existsSync(licenses)) await cp(licenses, join(directory, 'licenses'), { recursive: true })
  })
}

/** Gets the CPU wheel from the index or directory that pip is configured for, by its full version with `+cpu`. */
async function fromWheel(version: string): Promise<string> {
  const temporary = await mkdtemp(join(tmpdir(), 'visiontorch-'))
  try {
    const options = ['--no-deps', '--only-binary', ':all:', '--dest', temporary]
    execFileSync('python3', ['-m', 'pip', 'download', ...options, `torch==${version}+cpu`], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const [wheel] = await readdir(temporary)
    return await installLibTorch('cpu', { ...shown(), from: join(temporary, wheel!) }, version)
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

function shown(): InstallOptions {
  const [downloading, unpacking] = [reporter('downloading'), reporter('unpacking')]
  return {
    onDownload: ({ received, total }) => downloading(received, total ?? received),
    onExtract: unpacking,
  }
}

/** Shows a progress bar on a terminal, and otherwise a line for each quarter. */
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

/** The last line that pip printed is its error. */
function reason(error: unknown): string {
  const { stderr, message } = error as Error & { stderr?: Buffer }
  return stderr?.toString().trim().split('\n').at(-1) || message
}
