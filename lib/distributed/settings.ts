import { check, invalid, is, refuse } from '../util/is.js'
import { findRendezvous } from './rendezvous.js'

/** How the processes of a job find each other, for programs that do not read it from the environment. */
export interface DistributedSettings {
  /** The rank of this process, from 0 to `worldSize - 1`. */
  rank: number
  /** The number of processes in the job. */
  worldSize: number
  /** The address of rank 0's machine. Default `'127.0.0.1'`. */
  masterAddress?: string
  /** A free TCP port on that machine. */
  masterPort: number
  /** How long a process waits for the others, in seconds. Default 300. */
  timeout?: number
}

/** The arguments of the native code that joins a group. */
export interface GroupSettings {
  rank: number
  worldSize: number
  masterAddress: string
  masterPort: number
  /** Milliseconds. */
  timeout: number
  hostsStore: boolean
  restart: number
}

const DEFAULT_TIMEOUT = 300
const LONGEST_TIMEOUT = 86_400

/**
 * @returns null for `false`: the process works alone.
 * @throws ERR_INVALID_ARGUMENT for an invalid value, and for `true` without a launcher.
 */
export function resolveDistributed(option: unknown): GroupSettings | null {
  if (option === undefined || option === false) return null
  if (option === true) return fromEnvironment()
  if (!is.object(option))
    throw invalid('distributed', 'true, false or an object with rank and worldSize', option)
  check.options('distributed', option, ['rank', 'worldSize', 'masterAddress', 'masterPort', 'timeout'])
  const worldSize = check.integer('distributed.worldSize', option.worldSize, 1, 100_000)
  return {
    worldSize,
    rank: check.integer('distributed.rank', option.rank, 0, worldSize - 1),
    masterAddress: check.string('distributed.masterAddress', option.masterAddress ?? '127.0.0.1'),
    masterPort: check.integer('distributed.masterPort', option.masterPort, 1, 65_535),
    timeout: milliseconds(option.timeout ?? DEFAULT_TIMEOUT),
    hostsStore: true,
    restart: 0,
  }
}

function fromEnvironment(): GroupSettings {
  const found = findRendezvous(process.env)
  if (found === null) {
    throw refuse(
      'distributed: true expects the environment variables of a launcher (torchrun, Slurm, mpirun), but there are none. ' +
        'Start the program with a launcher, or give rank, worldSize, masterAddress and masterPort',
      'distributed',
    )
  }
  const { launcherHasStore, rank, worldSize, masterAddress, masterPort, restart } = found
  const timeout = process.env.VISIONTORCH_DISTRIBUTED_TIMEOUT
  return {
    ...{ rank, worldSize, masterAddress, masterPort, restart },
    hostsStore: !launcherHasStore,
    timeout: milliseconds(timeout ? Number(timeout) : DEFAULT_TIMEOUT),
  }
}

const milliseconds = (seconds: unknown): number =>
  Math.round(check.number('distributed.timeout', seconds, 0.1, LONGEST_TIMEOUT) * 1000)
