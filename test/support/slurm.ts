import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { freePort } from './port.js'

const programs = ['munged', 'slurmctld', 'slurmd', 'srun']

/** The reason to skip tests that run a Slurm cluster, or null. */
export const NO_SLURM =
  process.getuid?.() === 0 && programs.every(isInstalled)
    ? null
    : "a Slurm cluster takes root and Debian's munge, slurmctld, slurmd and slurm-client"

export function isInstalled(program: string): boolean {
  return spawnSync('sh', ['-c', `command -v ${program}`]).status === 0
}

/** A Slurm cluster of this machine alone, whose files and daemons are only its own. */
export class Slurm {
  readonly #daemons: ChildProcess[] = []

  private constructor(readonly env: NodeJS.ProcessEnv) {}

  /** Starts the daemons, and waits until the node takes jobs. */
  static async start(folder: string): Promise<Slurm> {
    const at = (name: string) => join(folder, name)
    await mkdir(folder)
    for (const name of ['state', 'spool']) await mkdir(at(name))
    await writeFile(at('key'), randomBytes(1024), { mode: 0o400 })
    const socket = at('munge.socket')
    const configuration = {
      ClusterName: 'test',
      SlurmctldHost: 'localhost',
      SlurmUser: 'root',
      // A job that is queued again waits until its credential has expired, by default two minutes.
      AuthInfo: `socket=${socket},cred_expire=5`,
      SchedulerParameters: 'batch_sched_delay=0,sched_interval=1',
      StateSaveLocation: at('state'),
      SlurmdSpoolDir: at('spool'),
      SlurmctldPidFile: at('slurmctld.pid'),
      SlurmdPidFile: at('slurmd.pid'),
      SlurmctldPort: await freePort(),
      SlurmdPort: await freePort(),
      ProctrackType: 'proctrack/pgid',
      TaskPlugin: 'task/none',
      JobAcctGatherType: 'jobacct_gather/none',
      MpiDefault: 'none',
      SelectType: 'select/linear',
      // Several tasks of a job share the cores that this machine has.
      SlurmdParameters: 'config_overrides',
      NodeName: 'localhost CPUs=4',
      PartitionName: 'all Nodes=ALL Default=YES',
    }
    const path = at('slurm.conf')
    await writeFile(
      path,
      Object.entries(configuration)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    )
    const slurm = new Slurm({ ...process.env, SLURM_CONF: path })
    const files = { 'key-file': 'key', socket: 'munge.socket', 'log-file': 'munge.log' }
    const more = { 'pid-file': 'munge.pid', 'seed-file': 'munge.seed' }
    slurm.#run(
      'munged',
      ...['--foreground', '--force'], // even if only root can reach its socket
      ...Object.entries({ ...files, ...more }).map(([option, name]) => `--${option}=${at(name)}`),
    )
    slurm.#run('slurmctld', '-D')
    slurm.#run('slurmd', '-D', '-N', 'localhost')
    for (let tries = 0; !spawnSync('sinfo', ['-h', '-o', '%t'], slurm).stdout.includes('idle'); tries++) {
      if (tries === 100) throw new Error('the node of the Slurm cluster did not become idle')
      await setTimeout(200)
    }
    return slurm
  }

  #run(program: string, ...options: string[]): void {
    this.#daemons.push(spawn(program, options, { env: this.env, stdio: 'ignore' }))
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons.toReversed()) {
      daemon.kill()
      if (daemon.exitCode === null && daemon.signalCode === null) await once(daemon, 'exit')
    }
  }
}
