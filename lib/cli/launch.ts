import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { availableParallelism, constants } from 'node:os'
import { createInterface } from 'node:readline'
import { InvalidArgumentError, Option } from 'commander'
import { planLaunch, type Rendezvous } from '../distributed/rendezvous.js'
import { refuse } from '../util/is.js'
import { commandArguments } from './arguments.js'
import { note } from './terminal.js'

/**
 * How long the other processes have to fail by themselves and say why, before SIGTERM; they get SIGKILL after twice
 * this time.
 */
const GRACE = 10_000 // ms

export const processesOption = () =>
  new Option(
    '--processes <n|auto>',
    'share the work among this many processes on this machine; auto: as many as PET_NPROC_PER_NODE says. PET_NNODES, ' +
      'PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT describe a job on several machines',
  ).argParser(text => {
    if (text === 'auto') return text
    if (/^[0-9]{1,4}$/.test(text) && Number(text) > 0) return Number(text)
    throw new InvalidArgumentError('Expected a number of processes, or auto.')
  })

/** The arguments without `--processes N`, for the processes that this one starts. */
export function withoutProcesses(args: readonly string[]): string[] {
  return args.filter((arg, i) => !/^--processes(=|$)/.test(arg) && args[i - 1] !== '--processes')
}

/**
 * Starts this command as several processes of one job, and waits for them. Rank 0 uses this process's terminal; the
 * output of the others goes to stderr, prefixed with their rank. If one fails, all end.
 * @param job The job that this process already belongs to, which is an error, or null.
 * @param processes Their number on this machine; `'auto'` takes it from the environment.
 * @returns the exit code.
 */
export async function launch(job: Rendezvous | null, processes: number | 'auto'): Promise<number> {
  if (job !== null) {
    throw refuse(
      `processes: ${job.launcher === 'environment' ? 'a launcher (RANK, WORLD_SIZE)' : job.launcher} has already started ` +
        'this process as one of several. Leave one of the two out',
      'processes',
    )
  }
  const args = withoutProcesses(commandArguments())
  const plan = planLaunch(process.env, processes)
  const master = plan.master ?? { address: '127.0.0.1', port: await freePort() }
  const threads = Math.max(1, Math.floor(availableParallelism() / plan.processes))
  const children = Array.from({ length: plan.processes }, (_, local) => {
    const rank = plan.machine * plan.processes + local
    return start(rank, args, {
      OMP_NUM_THREADS: String(threads),
      ...process.env,
      RANK: String(rank),
      WORLD_SIZE: String(plan.machines * plan.processes),
      LOCAL_RANK: String(local),
      LOCAL_WORLD_SIZE: String(plan.processes),
      MASTER_ADDR: master.address,
      MASTER_PORT: String(master.port),
    })
  })
  return supervise(children)
}

interface Member {
  rank: number
  child: ChildProcess
  /** Resolves to the exit code, which is 128 plus the signal's number if a signal ended the process. */
  code: Promise<number>
}

function start(rank: number, args: readonly string[], env: NodeJS.ProcessEnv): Member {
  const own = rank === 0
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    env,
    stdio: own ? 'inherit' : ['ignore', 'pipe', 'pipe'],
  })
  const read = [child.stdout, child.stderr].map(async stream => {
    if (stream === null) return
    for await (const line of createInterface({ input: stream }))
      process.stderr.write(`[rank ${rank}] ${line}\n`)
  })
  const code = once(child, 'exit').then(async ([code, signal]: (number | NodeJS.Signals | null)[]) => {
    await Promise.all(read)
    return typeof code === 'number' ? code : 128 + constants.signals[signal as NodeJS.Signals]
  })
  return { rank, child, code }
}

async function supervise(members: readonly Member[]): Promise<number> {
  let received: NodeJS.Signals | undefined
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  const kill = (signal: NodeJS.Signals) => {
    for (const { child } of members)
      if (child.exitCode === null && child.signalCode === null) child.kill(signal)
  }
  // Ctrl-C is forwarded too, although the terminal sends it to all: processes of a job treat signals that come together as one.
  const forward = (signal: NodeJS.Signals) => {
    received ??= signal
    kill(signal)
  }
  for (const signal of signals) process.on(signal, forward)
  let failed: number | undefined
  const timers: NodeJS.Timeout[] = []
  await Promise.all(
    members.map(async ({ rank, code: ended }) => {
      const code = await ended
      if (code === 0 || failed !== undefined) return
      failed = code
      if (received !== undefined) return
      note(
        `rank ${rank} ended with ${code > 128 ? signalOf(code) : `exit code ${code}`}; ending the other processes`,
      )
      timers.push(setTimeout(kill, GRACE, 'SIGTERM'), setTimeout(kill, 2 * GRACE, 'SIGKILL'))
    }),
  )
  for (const timer of timers) clearTimeout(timer)
  for (const signal of signals) process.off(signal, forward)
  if (failed === undefined) return 0
  if (received !== undefined) return 128 + constants.signals[received]
  return failed < 128 ? failed : 1
}

const signalOf = (code: number): string =>
  Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0] ?? `signal ${code - 128}`

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
