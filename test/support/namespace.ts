import { spawnSync } from 'node:child_process'

/** Whether this user may mount a file system of its own (root, with CAP_SYS_ADMIN). If not, tests are skipped. */
export const canMount =
  spawnSync('unshare', ['--mount', 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt'], { stdio: 'ignore' }).status === 0

export interface Outcome {
  operation: string
  /** 'done', or the code of a VisionTorchError. Anything else is an unexpected error. */
  result: string
  message: string
  /** Files that existed before and have changed. */
  damaged: string[]
  /** Files that did not exist before. */
  extra: string[]
}

/** Runs test/support/fault-child.ts on a small file system of its own, with a limit on open files. */
export function runUnder(fault: 'full' | 'read-only' | 'descriptors', directory: string): Outcome[] {
  const node = `exec '${process.execPath}' --import tsx test/support/fault-child.ts ${fault} '${directory}'`
  const shell = `mount -t tmpfs -o size=24m tmpfs '${directory}' && ulimit -n 256 && ${node}`
  const child = spawnSync('unshare', ['--mount', 'bash', '-c', shell], { encoding: 'utf8', timeout: 100_000 })
  if (child.status !== 0)
    throw new Error(`the child ended with ${child.status ?? child.signal}: ${child.stderr}`)
  return JSON.parse(child.stdout)
}
