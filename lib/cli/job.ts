import { availableParallelism } from 'node:os'
import { findRendezvous, type Rendezvous } from '../distributed/rendezvous.js'
import { type Device, runtimeInfo, setThreads } from '../native/runtime.js'
import { note, setQuiet } from './terminal.js'

/**
 * The job that this process belongs to, if a launcher started several processes. All but rank 0 print only warnings
 * and errors.
 */
export function enterJob(): Rendezvous | null {
  const job = findRendezvous(process.env)
  if (job === null || job.worldSize === 1) return null
  if (job.rank > 0) setQuiet(true)
  return job
}

/** The number of the job's processes on this machine, or 1 if the launcher does not say. */
const localSize = (): number => Math.max(1, Number(process.env.LOCAL_WORLD_SIZE) || 1)

const shareOf = (count: number): number => Math.max(1, Math.floor(count / localSize()))

/** torchrun makes each process compute with one thread unless OMP_NUM_THREADS is set. Instead, they share the cores. */
export function shareThreads(job: Rendezvous | null, threads: number | undefined): void {
  if (threads !== undefined) setThreads(threads)
  const share = shareOf(availableParallelism())
  const isThrottled = job?.launcher === 'torchrun' && process.env.OMP_NUM_THREADS === '1'
  if (threads !== undefined || !isThrottled || share === 1) return
  setThreads(share)
  note(
    `torchrun sets OMP_NUM_THREADS=1; each process computes with ${share} threads instead (--threads to change)`,
  )
}

/** The default of `--workers` for a process that shares its machine. */
export const shareWorkers = (): number => shareOf(Math.min(8, availableParallelism()))

/** Gives each process of a machine its own GPU. */
export function ownDevice(job: Rendezvous | null, device: Device): Device {
  if (job === null || (device !== 'auto' && device !== 'cuda')) return device
  const { cuda, cudaDevices } = runtimeInfo()
  return cuda ? `cuda:${job.localRank % cudaDevices}` : device
}
