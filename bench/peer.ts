import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { bundled, folder, onnxPackages, python } from './bootstrap.js'
import type { Job } from './job.js'

// One program with one setup, in a process of its own that lives for one cell of the table.

/** glibc keeps what is freed and reuses it, instead of unmapping it: what a knowing user sets. */
const reusingMalloc = {
  MALLOC_TOP_PAD_: `${256 << 20}`,
  MALLOC_MMAP_MAX_: '0',
  MALLOC_TRIM_THRESHOLD_: `${2 ** 40}`,
}

export type PeerName = keyof typeof setups

const setups = {
  visiontorch: { setup: '', env: {} },
  stock: { setup: 'stock', env: {} },
  tuned: { setup: 'tuned', env: reusingMalloc },
  compile: { setup: 'compile', env: reusingMalloc },
  mmap: { setup: 'mmap', env: {} },
  onnxruntime: { setup: '', env: {} },
}

export interface Answer {
  times: number[]
  output: number[]
  time: number
  peak: number
  index: number
}

export class Peer {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  #errors = ''

  constructor(
    readonly name: PeerName,
    job: Omit<Job, 'setup' | 'folder' | 'images' | 'image'>,
  ) {
    const { setup, env } = setups[name]
    const whole: Job = {
      ...job,
      setup,
      folder,
      images: `${folder}/images.f32`,
      image: `${folder}/photo.jpg`,
    }
    const command =
      name === 'visiontorch' || name === 'onnxruntime'
        ? [process.execPath, bundled(name)]
        : [python(), `${import.meta.dirname}/peers/eager.py`]
    this.#child = spawn(command[0]!, [command[1]!, JSON.stringify(whole)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env, PYTHONPATH: onnxPackages },
    })
    this.#child.stderr!.on('data', text => {
      this.#errors = `${this.#errors}${text}`.slice(-4000)
    })
    this.#lines = createInterface(this.#child.stdout!)[Symbol.asyncIterator]()
  }

  async answer(): Promise<Answer> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`${this.name} ended without an answer: ${this.#errors}`)
    return JSON.parse(value) as Answer
  }

  run(count: number): Promise<Answer> {
    this.#child.stdin!.write(`${JSON.stringify({ count })}\n`)
    return this.answer()
  }

  async end(): Promise<void> {
    this.#child.stdin!.end()
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise(resolve => this.#child.once('exit', resolve))
  }
}
