import { type ChildProcess, spawn } from 'node:child_process'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Job } from './job.js'
import {
  bundled,
  folder,
  graphOf,
  noise,
  photo,
  python,
  pythonPackages,
  serverPackages,
  weightsOf,
} from './paths.js'

// One program with one setup, in a process of its own that runs for one cell of the table.

/** Makes glibc keep and reuse freed memory instead of unmapping it, as an expert user would. */
const reusingMalloc = {
  MALLOC_TOP_PAD_: `${256 << 20}`,
  MALLOC_MMAP_MAX_: '0',
  MALLOC_TRIM_THRESHOLD_: `${2 ** 40}`,
}
const tuned = { program: 'python', env: reusingMalloc } as const

export type PeerName = keyof typeof peers

/** Every setup: a program, and what distinguishes it. */
const peers = {
  visiontorch: { program: 'visiontorch', setup: '', env: {} },
  /** Decoded images are kept in memory. */
  cache: { program: 'visiontorch', setup: 'cache', env: {} },
  /** Steps on one batch in memory: how fast training could be if images cost nothing. */
  'in memory': { program: 'visiontorch', setup: 'memory', env: {} },
  /** Two processes that exchange nothing, and one with the images and threads of both: see works/distributed.ts. */
  apart: { program: 'visiontorch', setup: 'apart', env: {} },
  'one process': { program: 'visiontorch', setup: 'one', env: {} },
  /** predict() in a process, for comparison with servers. */
  'in process': { program: 'visiontorch', setup: 'in process', env: {} },
  stock: { program: 'python', setup: 'stock', env: {} },
  tuned: { ...tuned, setup: 'tuned' },
  /** Tuned, and PyTorch allocates pages of 2 MB. */
  'huge pages': { program: 'python', setup: 'tuned', env: { ...reusingMalloc, THP_MEM_ALLOC_ENABLE: '1' } },
  compile: { ...tuned, setup: 'compile' },
  /** The number of processes of torchvision's DataLoader. */
  '2 workers': { ...tuned, setup: '2' },
  '0 workers': { ...tuned, setup: '0' },
  mmap: { program: 'python', setup: 'mmap', env: {} },
  fastapi: { program: 'python', setup: 'fastapi', env: {} },
  litserve: { program: 'python', setup: 'litserve', env: {} },
  'tfjs-node': { program: 'tfjs', setup: 'node', env: {} },
  /** On its WebAssembly backend, which has one thread in Node.js. */
  'tfjs-wasm': { program: 'tfjs', setup: 'wasm', env: {} },
  onnxruntime: { program: 'onnxruntime', setup: '', env: {} },
  openvino: { program: 'openvino', setup: '', env: {} },
  /** With a model in 8 bits: in float32, and on the graph that ONNX Runtime quantized instead of visiontorch's own. */
  'in float32': { program: 'visiontorch', setup: 'float32', env: {} },
  'onnxruntime static': { program: 'onnxruntime', setup: 'static', env: {} },
  'openvino static': { program: 'openvino', setup: 'static', env: {} },
} as const

/** The required fields of a job; the others have defaults. */
export type Task = Pick<Job, 'work' | 'network' | 'threads'> & Partial<Job>

export interface Answer {
  times: number[]
  output: number[]
  /** The largest resident size so far, in MiB. */
  peak: number
}

export class Peer {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string>
  #errors = ''

  constructor(
    readonly name: PeerName,
    task: Task,
  ) {
    const { program, setup, env } = peers[name]
    const file = task.dtype === 'int8' ? `${task.network}.int8` : task.network
    const job: Job = {
      batch: 1,
      size: 224,
      dtype: 'float32',
      device: 'cpu',
      weights: weightsOf(file),
      graph: graphOf(setup === 'static' ? `${task.network}.static` : file),
      photos: [],
      data: '',
      task: '',
      seconds: 0,
      ...task,
      setup,
      folder,
      noise,
      photo,
    }
    const command =
      program === 'python' || program === 'openvino'
        ? [python(), join(import.meta.dirname, 'peers', program, `${job.work}.py`)]
        : [process.execPath, bundled(`${program}/${job.work}`)]
    this.#child = spawn(command[0]!, [command[1]!, JSON.stringify(job)], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...env, PYTHONPATH: [pythonPackages, serverPackages].join(delimiter) },
    })
    this.#child.stderr!.on('data', text => {
      this.#errors = `${this.#errors}${text}`.slice(-4000)
    })
    this.#lines = createInterface(this.#child.stdout!)[Symbol.asyncIterator]()
  }

  async answer<T = Answer>(): Promise<T> {
    const { value, done } = await this.#lines.next()
    if (done) throw new Error(`${this.name} ended without an answer: ${this.#errors}`)
    return JSON.parse(value) as T
  }

  run<T = Answer>(count: number): Promise<T> {
    this.#child.stdin!.write(`${JSON.stringify({ count })}\n`)
    return this.answer()
  }

  async end(): Promise<void> {
    this.#child.stdin!.end()
    if (this.#child.exitCode === null && this.#child.signalCode === null)
      await new Promise(resolve => this.#child.once('exit', resolve))
  }
}

/** The single answer of a peer that runs for one measurement. */
export async function once<T>(name: PeerName, task: Task): Promise<T> {
  const peer = new Peer(name, task)
  const answer = await peer.answer<T>()
  await peer.end()
  return answer
}
