import { type NativeProcessGroup, native } from '../native/native.js'
import { type GroupSettings, resolveDistributed } from './settings.js'

const NOTHING = new Uint8Array()

/** The processes of a job. All call the same operations in the same order. A single process is a group of one. */
export class Group {
  /** The group of a process that works alone. */
  static readonly alone = new Group(null, 0, 1)

  #stopped = false

  constructor(
    /** Null in a group of one. */
    readonly native: NativeProcessGroup | null,
    /** The rank of this process, from 0. */
    readonly rank: number,
    /** The number of processes in the group. */
    readonly size: number,
  ) {}

  /** Whether this is rank 0, the only one that writes files. */
  get isFirst(): boolean {
    return this.rank === 0
  }

  /** Gathers the bytes of every rank, which may differ in length. */
  async allGather(bytes: Uint8Array): Promise<Uint8Array[]> {
    return this.native === null ? [bytes] : this.native.allGather(bytes)
  }

  /** Gathers the value of every rank: anything that JSON can express. */
  async gather<T>(value: T): Promise<T[]> {
    const all = await this.allGather(Buffer.from(JSON.stringify(value)))
    return all.map(bytes => JSON.parse(Buffer.from(bytes).toString()))
  }

  /** Sends the bytes of rank 0 to all ranks. */
  async broadcastBytes(bytes: Uint8Array | null): Promise<Uint8Array> {
    return this.native === null ? bytes! : this.native.broadcast(bytes ?? NOTHING)
  }

  /** Calls `value` on rank 0 only, and sends its result to all ranks: anything that JSON can express. */
  async broadcast<T>(value: () => T | Promise<T>): Promise<T> {
    if (this.native === null) return value()
    const bytes = this.isFirst ? Buffer.from(JSON.stringify(await value())) : null
    return JSON.parse(Buffer.from(await this.broadcastBytes(bytes)).toString())
  }

  /** Throws on all ranks if the signal of any rank is aborted. */
  async stopIfAborted(signal: AbortSignal | undefined): Promise<void> {
    if (this.native === null) return signal?.throwIfAborted()
    const [stops] = await this.native.sum(Float64Array.of(signal?.aborted ? 1 : 0))
    this.stopIf(stops! > 0, signal)
  }

  /**
   * Does the same if the ranks already know that one stops: throws the reason of this rank's signal, or an
   * `AbortError`.
   */
  stopIf(stops: boolean, signal: AbortSignal | undefined): void {
    if (!stops) return
    this.#stopped = true
    signal?.throwIfAborted()
    throw new DOMException('another process of the job was asked to stop', 'AbortError')
  }

  /** Whether all ranks know that they stop. */
  get stopped(): boolean {
    return this.#stopped
  }
}

let current: Group | null = null
let joined = 0

/**
 * Joins a group, runs the work, and leaves the group. If the work fails, the other ranks learn why. Inside the work of an
 * outer call, it uses the group of that call.
 * @param option As for {@link resolveDistributed}.
 * @throws ERR_DISTRIBUTED if the other processes cannot be reached, and whatever the work throws.
 */
export async function withGroup<T>(option: unknown, work: (group: Group) => Promise<T>): Promise<T> {
  const settings = resolveDistributed(option)
  if (settings === null) return work(Group.alone)
  if (current !== null) return work(current)
  const group = await join(settings)
  current = group
  try {
    const result = await work(group)
    await group.native?.close()
    return result
  } catch (error) {
    if (group.stopped) await group.native?.close().catch(() => {})
    else await group.native?.fail(error instanceof Error ? error.message : String(error))
    throw error
  } finally {
    current = null
  }
}

async function join({ restart, ...settings }: GroupSettings): Promise<Group> {
  const { rank, worldSize } = settings
  if (worldSize === 1) return new Group(null, 0, 1)
  const prefix = `visiontorch/${restart}/${joined++}`
  return new Group(await native().joinGroup({ ...settings, prefix }), rank, worldSize)
}
