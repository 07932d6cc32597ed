// The Node peers' half of the protocol.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

export const answer = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

/** The largest resident size of this process so far, in MiB. */
export const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024

/** Answers each `{count}` by the times of so many steps, in ms, and the last one's output. */
export async function serve(step: () => Promise<ArrayLike<number>>): Promise<void> {
  answer({})
  for await (const line of createInterface(process.stdin)) {
    const times: number[] = []
    let output: ArrayLike<number> = []
    for (let i = 0; i < JSON.parse(line).count; i++) {
      const begin = performance.now()
      output = await step()
      times.push(performance.now() - begin)
    }
    answer({ times, output: Array.from(output), peak: peak() })
  }
}
