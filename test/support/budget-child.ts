// Opens a checkpoint in every way, in a process of its own. For each way, prints the error code (or 'ok'), the CPU
// seconds, and by how many MiB the peak memory grew.
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
