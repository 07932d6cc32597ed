import type { Group } from './group.js'

/** The items of a plan on which this rank works: every `size`th. */
export const ownShare = <T>(group: Group, plan: readonly T[]): T[] =>
  plan.filter((_, i) => i % group.size === group.rank)

/**
 * Yields the results of a plan's items in the plan's order, on all ranks. Each rank works on its {@link ownShare}. After
 * each round, the ranks exchange their results, or the news that one of them was asked to stop.
 * @param count The number of items in the plan.
 * @param work Computes the next item of this rank's share.
 * @throws what the work throws, or, on all ranks, the reason of an aborted signal.
 */
export async function* inRounds(
  group: Group,
  count: number,
  signal: AbortSignal | undefined,
  work: () => Promise<Uint8Array>,
): AsyncGenerator<Uint8Array, void> {
  for (let first = 0; first < count; first += group.size) {
    if (group.size === 1) {
      signal?.throwIfAborted()
      yield await work()
      continue
    }
    const hasWork = first + group.rank < count && !signal?.aborted
    const own = hasWork ? await work() : new Uint8Array()
    const all = await group.allGather(Buffer.concat([own, Uint8Array.of(signal?.aborted ? 1 : 0)]))
    group.stopIf(
      all.some(bytes => bytes.at(-1) === 1),
      signal,
    )
    for (const bytes of all.slice(0, count - first)) yield bytes.subarray(0, -1)
  }
}
