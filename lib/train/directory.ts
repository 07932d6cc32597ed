import { createReadStream } from 'node:fs'
import { access, mkdir, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { escapeName } from '../util/file-name.js'
import { cannotWrite, replaceFile } from '../util/files.js'
import { refuse } from '../util/is.js'
import type { EpochMetrics } from './events.js'

const columns = [
  'epoch',
  'learningRate',
  'trainLoss',
  'trainTop1',
  'validationLoss',
  'top1',
  'top5',
  'imagesPerSecond',
  'seconds',
] as const satisfies readonly (keyof EpochMetrics)[]

/** The directory that holds a run's files. */
export class RunDirectory {
  readonly best: string
  readonly last: string

  private constructor(readonly path: string) {
    this.best = join(path, 'best.pth')
    this.last = join(path, 'last.pth')
  }

  /**
   * Creates the directory, or uses an existing one. Without a path, it creates the first free
   * `runs/<architecture>-<n>`.
   * @throws ERR_FILE_WRITE, or ERR_INVALID_ARGUMENT if it holds a run that would be overwritten.
   */
  static async open(path: string | null, architecture: string, resuming: boolean): Promise<RunDirectory> {
    if (path === null) return RunDirectory.#firstFree(architecture)
    const directory = new RunDirectory(resolve(path))
    await mkdir(directory.path, { recursive: true }).catch(error =>
      Promise.reject(cannotWrite(directory.path, error)),
    )
    if (!resuming) await RunDirectory.refuseUsed(path)
    return directory
  }

  /** @throws ERR_INVALID_ARGUMENT if the directory holds a run. */
  static async refuseUsed(path: string): Promise<void> {
    const directory = new RunDirectory(resolve(path))
    if (!(await directory.hasLast())) return
    throw refuse(
      `directory: ${directory.path} already holds a run. Continue it with resume: true, or choose another folder`,
      'directory',
      'resume',
    )
  }

  static async #firstFree(architecture: string): Promise<RunDirectory> {
    const runs = resolve('runs')
    try {
      await mkdir(runs, { recursive: true })
      for (let n = 1; ; n++) {
        const path = join(runs, `${architecture}-${n}`)
        const made = await mkdir(path).then(
          () => true,
          error => (error.code === 'EEXIST' ? false : Promise.reject(error)),
        )
        if (made) return new RunDirectory(path)
      }
    } catch (error) {
      throw cannotWrite(runs, error)
    }
  }

  /** A directory that another process writes. */
  static of(path: string): RunDirectory {
    return new RunDirectory(path)
  }

  hasLast(): Promise<boolean> {
    return exists(this.last)
  }

  /** Copies the best.pth of another run's directory, if this one has none. Returns whether this directory has one now. */
  async adoptBest(from: string): Promise<boolean> {
    if (await exists(this.best)) return true
    const other = join(from, 'best.pth')
    if (!(await exists(other))) return false
    await replaceFile(this.best, async file => {
      for await (const chunk of createReadStream(other)) await file.appendFile(chunk)
    })
    return true
  }

  periodic(epoch: number): string {
    return join(this.path, `epoch-${String(epoch).padStart(4, '0')}.pth`)
  }

  /** Removes the periodic checkpoint of an epoch, if there is one. */
  async removePeriodic(epoch: number): Promise<void> {
    await rm(this.periodic(epoch), { force: true })
  }

  async writeConfig(config: Readonly<Record<string, unknown>>): Promise<void> {
    await replaceFile(join(this.path, 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  }

  async writeClasses(classes: readonly string[]): Promise<void> {
    await replaceFile(join(this.path, 'classes.txt'), classes.map(name => `${escapeName(name)}\n`).join(''))
  }

  /** Writes all epochs each time: they are few, and the files stay complete and free of duplicates after a resume. */
  async writeMetrics(history: readonly EpochMetrics[]): Promise<void> {
    const csv = [
      columns.join(','),
      ...history.map(row => columns.map(column => Number(row[column])).join(',')),
    ]
    await replaceFile(join(this.path, 'metrics.csv'), `${csv.join('\n')}\n`)
    const lines = history.map(row => `${JSON.stringify(row)}\n`)
    await replaceFile(join(this.path, 'metrics.jsonl'), lines.join(''))
  }
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  )
