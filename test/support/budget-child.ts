// Opens a checkpoint in every way in a process of its own. Prints the error code (or 'ok'), the CPU seconds and the MiB by
// which the peak of memory grew, of each way.
import { readFileSync } from 'node:fs'
import { inspectCheckpoint, loadModel, readCheckpoint } from '../../lib/index.js'
import { native } from '../../lib/native/native.js'

const path = process.argv[2]!
native() // LibTorch's own memory does not count
const peak = () => Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024
const results: Record<string, { code: string; message: string; seconds: number; growth: number }> = {}
for (const read of [inspectCheckpoint, readCheckpoint, loadModel]) {
  const before = peak()
  const start = process.cpuUsage()
  let code = 'ok'
  let message = ''
  try {
    await read(path)
  } catch (error) {
    code = String((error as { code?: string }).code)
    message = (error as Error).message
  }
  const { user, system } = process.cpuUsage(start)
  results[read.name] = { code, message, seconds: (user + system) / 1e6, growth: peak() - before }
}
process.stdout.write(JSON.stringify(results))
