import { refuse } from '../util/is.js'
import { printable } from '../util/text.js'

/** The rank of a process in its job and the address at which it finds the others, according to its launcher. */
export interface Rendezvous {
  launcher: 'torchrun' | 'environment' | 'Slurm' | 'Open MPI'
  /** From 0 to `worldSize - 1`. */
  rank: number
  /** The number of processes in the job. */
  worldSize: number
  /** The index of the process among those on its machine, from 0. */
  localRank: number
  /** The address of rank 0's machine. */
  masterAddress: string
  masterPort: number
  /** Whether the launcher, instead of rank 0, serves the store through which the processes find each other. */
  launcherHasStore: boolean
  /** How often the launcher has restarted the job. */
  restart: number
}

/** PyTorch's port, for launchers that choose none. */
const DEFAULT_PORT = 29_500

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads the environment variables of a launcher: torchrun, Kubeflow's PyTorchJob and `visiontorch train --processes`
 * (RANK, WORLD_SIZE, ...), Slurm's srun, or Open MPI's mpirun. Returns null if there is no launcher.
 * @throws ERR_INVALID_ARGUMENT if variables are missing or invalid; the message names them.
 */
export function findRendezvous(env: Environment): Rendezvous | null {
  const found = fromVariables(env) ?? fromSlurm(env) ?? fromOpenMpi(env)
  if (found !== null && found.rank >= found.worldSize) {
    throw refuse(
      `${found.launcher}: expected a rank below the ${found.worldSize} processes of the job, got ${found.rank}`,
    )
  }
  return found
}

function fromVariables(env: Environment): Rendezvous | null {
  if (!env.RANK && !env.WORLD_SIZE) return null
  const isTorchrun = Boolean(env.TORCHELASTIC_RUN_ID)
  const rank = integer(env, 'RANK', 0)
  return {
    launcher: isTorchrun ? 'torchrun' : 'environment',
    rank,
    worldSize: integer(env, 'WORLD_SIZE', 1),
    localRank: env.LOCAL_RANK ? integer(env, 'LOCAL_RANK', 0) : 0,
    masterAddress: text(env, 'MASTER_ADDR'),
    masterPort: integer(env, 'MASTER_PORT', 1, 65_535),
    launcherHasStore: env.TORCHELASTIC_USE_AGENT_STORE === 'True',
    restart: env.TORCHELASTIC_RESTART_COUNT ? integer(env, 'TORCHELASTIC_RESTART_COUNT', 0) : 0,
  }
}

/** srun sets SLURM_STEP_ID. Without it, this is a single batch script or shell. */
function fromSlurm(env: Environment): Rendezvous | null {
  if (!env.SLURM_PROCID || !env.SLURM_STEP_ID) return null
  const job = Number(env.SLURM_JOB_ID ?? 0)
  return {
    launcher: 'Slurm',
    rank: integer(env, 'SLURM_PROCID', 0),
    worldSize: integer(env, env.SLURM_STEP_NUM_TASKS ? 'SLURM_STEP_NUM_TASKS' : 'SLURM_NTASKS', 1),
    localRank: integer(env, 'SLURM_LOCALID', 0),
    masterAddress:
      env.MASTER_ADDR ||
      firstHost(text(env, env.SLURM_STEP_NODELIST ? 'SLURM_STEP_NODELIST' : 'SLURM_JOB_NODELIST')),
    // Jobs that share a machine need different ports.
    masterPort: env.MASTER_PORT ? integer(env, 'MASTER_PORT', 1, 65_535) : 15_000 + (job % 10_000),
    launcherHasStore: false,
    restart: env.SLURM_RESTART_COUNT ? integer(env, 'SLURM_RESTART_COUNT', 0) : 0,
  }
}

function fromOpenMpi(env: Environment): Rendezvous | null {
  if (!env.OMPI_COMM_WORLD_RANK) return null
  const worldSize = integer(env, 'OMPI_COMM_WORLD_SIZE', 1)
  const isOneMachine = Number(env.OMPI_COMM_WORLD_LOCAL_SIZE) === worldSize
  if (!env.MASTER_ADDR && !isOneMachine) {
    throw refuse(
      "Open MPI: expected the address of rank 0's machine in MASTER_ADDR, which is not set. Pass it with mpirun -x MASTER_ADDR=...",
    )
  }
  return {
    launcher: 'Open MPI',
    rank: integer(env, 'OMPI_COMM_WORLD_RANK', 0),
    worldSize,
    localRank: integer(env, 'OMPI_COMM_WORLD_LOCAL_RANK', 0),
    masterAddress: env.MASTER_ADDR || '127.0.0.1',
    masterPort: env.MASTER_PORT ? integer(env, 'MASTER_PORT', 1, 65_535) : DEFAULT_PORT,
    launcherHasStore: false,
    restart: 0,
  }
}

/** The first host of a list: `node03` for `node[03-05,9],other`. */
function firstHost(list: string): string {
  const [, prefix = '', range, suffix = ''] = /^([^[,]+)(?:\[([^\]]*)\]([^,[]*))?/.exec(list) ?? []
  return range === undefined ? prefix : `${prefix}${/^\d*/.exec(range)![0]}${suffix}`
}

/** The processes that `visiontorch train --processes` starts on this machine, and their place in the job. */
export interface Launch {
  /** The number of processes on each machine. */
  processes: number
  machines: number
  /** The index of this machine, from 0. */
  machine: number
  /** Null for a job on one machine: the launcher chooses a free port. */
  master: { address: string; port: number } | null
}

/**
 * Reads the variables with which Kubeflow Trainer, and scripts for torchrun, describe the machines of a job: `PET_NNODES`,
 * `PET_NODE_RANK`, `PET_MASTER_ADDR` and `PET_MASTER_PORT`.
 * @param processes The number on each machine; `'auto'` means `PET_NPROC_PER_NODE`, or one if that is not set.
 * @throws ERR_INVALID_ARGUMENT as {@link findRendezvous} does.
 */
export function planLaunch(env: Environment, processes: number | 'auto'): Launch {
  const perMachine = env.PET_NPROC_PER_NODE
  const given = perMachine !== undefined && /^\d+$/.test(perMachine)
  const count = processes !== 'auto' ? processes : given ? integer(env, 'PET_NPROC_PER_NODE', 1) : 1
  const machines = env.PET_NNODES ? integer({ PET_NNODES: lowest(env.PET_NNODES) }, 'PET_NNODES', 1) : 1
  if (machines === 1) return { processes: count, machines, machine: 0, master: null }
  const machine = integer(env, 'PET_NODE_RANK', 0, machines - 1)
  const address = text(env, 'PET_MASTER_ADDR')
  const port = env.PET_MASTER_PORT ? integer(env, 'PET_MASTER_PORT', 1, 65_535) : DEFAULT_PORT
  return { processes: count, machines, machine, master: { address, port } }
}

/** torchrun's `2:2` means exactly 2. */
const lowest = (range: string): string => /^(\d+):\1$/.exec(range)?.[1] ?? range

function text(env: Environment, name: string): string {
  const value = env[name]
  if (value) return value
  throw refuse(
    `expected the environment variable ${name}, which the launcher of the job should set, but it is not set`,
  )
}

function integer(env: Environment, name: string, min: number, max = Number.MAX_SAFE_INTEGER): number {
  const value = text(env, name)
  const number = /^\d+$/.test(value) ? Number(value) : Number.NaN
  if (number >= min && number <= max) return number
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`
  throw refuse(`expected an integer ${range} in the environment variable ${name}, got '${printable(value)}'`)
}
