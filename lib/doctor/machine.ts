import { existsSync, readFileSync } from 'node:fs'
import { availableParallelism, cpus, totalmem } from 'node:os'
import { findRendezvous, type Rendezvous } from '../distributed/rendezvous.js'
import { LIBTORCH_VERSION } from '../libtorch/installation.js'
import { type Attempt, locateLibTorch } from '../libtorch/locate.js'
import { compiledAgainst, findAddons } from '../native/load.js'
import { native, type RuntimeInfo } from '../native/native.js'
import { glibcVersion } from '../native/platform.js'
import { VisionTorchError } from '../util/errors.js'
import { packageManifest } from '../util/package.js'

/** A description of this machine and of the software on which visiontorch runs. */
export interface MachineReport {
  ok: boolean
  visiontorch: string
  node: string
  /** "linux-x64, glibc 2.36" */
  platform: string
  cpu: { model: string; cores: number; features: string[] }
  /** Bytes. */
  memory: number
  /** Null if there is none for this platform. */
  addon: { path: string; libtorchVersion: string } | null
  /** The places where visiontorch looked for LibTorch, up to the one that it uses. */
  places: Attempt[]
  /** The loaded LibTorch, or null. */
  runtime: RuntimeInfo | null
  nvidiaDriver: boolean
  /** The rank of this process in its job, if a launcher started it. */
  job: Rendezvous | null
  error: { code: string; message: string } | null
  advice: string[]
}

/** Instruction sets for which LibTorch and oneDNN have kernels. */
const FEATURES = [
  'avx2',
  'fma',
  'avx512f',
  'avx512_vnni',
  'avx512_bf16',
  'avx512_fp16',
  'amx_bf16',
  'amx_int8',
  'asimd',
  'bf16',
  'i8mm',
  'sve',
]

/** Loads LibTorch and describes it, the processor and the devices. */
export function checkMachine(): MachineReport {
  const { version } = packageManifest()
  const description = existsSync('/proc/cpuinfo') ? readFileSync('/proc/cpuinfo', 'utf8') : ''
  const flags = /^(?:flags|Features)\s*:(.*)$/m.exec(description)?.[1]?.split(' ') ?? []
  const report: MachineReport = {
    ok: false,
    visiontorch: version,
    node: process.version,
    platform: describePlatform(),
    cpu: {
      model: cpus()[0]?.model ?? 'unknown',
      cores: availableParallelism(),
      features: FEATURES.filter(feature => flags.includes(feature)),
    },
    memory: totalmem(),
    addon: null,
    places: [],
    runtime: null,
    nvidiaDriver: existsSync('/proc/driver/nvidia/version'),
    job: null,
    error: null,
    advice: [],
  }
  try {
    const path = findAddons().main
    report.addon = { path, libtorchVersion: compiledAgainst(path) }
    report.places = locateLibTorch(report.addon.libtorchVersion).attempts
    report.runtime = native().runtimeInfo()
    report.job = findRendezvous(process.env)
    report.ok = true
  } catch (error) {
    if (!(error instanceof VisionTorchError)) throw error
    report.error = { code: error.code, message: error.message }
  }
  report.advice = advice(report)
  return report
}

/** "linux-x64, glibc 2.36", "darwin-arm64" */
function describePlatform(): string {
  const platform = `${process.platform}-${process.arch}`
  return process.platform === 'linux' ? `${platform}, glibc ${glibcVersion() ?? 'none'}` : platform
}

function advice({ runtime, nvidiaDriver, cpu, job }: MachineReport): string[] {
  const lines: string[] = []
  if (job !== null && job.worldSize > 1 && runtime?.threads === 1 && process.env.OMP_NUM_THREADS === '1')
    lines.push(
      'OMP_NUM_THREADS=1, which torchrun sets by default, limits each process to one thread. Instead, visiontorch train ' +
        "shares the machine's cores among its processes; --threads sets another number",
    )
  if (runtime !== null && nvidiaDriver && !runtime.cuda)
    lines.push(
      'There is an NVIDIA driver, but LibTorch finds no CUDA device. To use the GPU: npx visiontorch libtorch install cu130',
    )
  if (runtime !== null && runtime.threads > cpu.cores)
    lines.push(
      `${runtime.threads} threads on ${cpu.cores} cores slow each other down: set OMP_NUM_THREADS=${cpu.cores}`,
    )
  if (process.arch === 'x64' && !cpu.features.includes('avx2'))
    lines.push(`LibTorch ${LIBTORCH_VERSION} is slow on a processor without AVX2.`)
  return lines
}
