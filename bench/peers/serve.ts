// The protocol's side of the Node.js peers; peers/python/common.py is its Python side. The first argument is a job as
// JSON. Answers are lines on stdout. If there are several, each answers a request {count}, a line on stdin.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Job } from '../job.js'

export const job = JSON.parse(process.argv[2]!) as Job

export const answer = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`)

/** Yields the number of each {count} that arrives. */
export async function* requests(): AsyncGenerator<number, void> {
  for await (const line of createInterface(process.stdin)) yield JSON.parse(line).count
}

/** Returns the largest resident size of this process so far, in MiB. */
export const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]) / 1024

/** Returns the first `count` images of the noise. */
export function readNoise(count = job.batch): Float32Array {
  const { buffer, byteOffset } = readFileSync(job.noise)
  return new Float32Array(buffer, byteOffset, count * 3 * job.size * job.size)
}

/**
 * Answers each request with the wall-clock times of so many steps, in ms, and the output of the last one. Sends `facts`
 * before that.
 */
export async function serve(
  step: () => Promise<ArrayLike<number>>,
  { facts = {}, clock = () => performance.now() }: { facts?: object; clock?: () => number } = {},
): Promise<void> {
  answer(facts)
  for await (const count of requests()) {
    const times: number[] = []
    let output: ArrayLike<number> = []
    for (let i = 0; i < count; i++) {
      const begin = clock()
      output = await step()
      times.push(clock() - begin)
    }
    answer({ times, output: Array.from(output), peak: peak() })
  }
}
