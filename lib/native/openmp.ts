/**
 * Runs `load`, in which libgomp is loaded and reads its settings, so that its idle workers spin for microseconds and
 * then sleep. Its default, milliseconds, is a little faster on an otherwise idle machine; but as soon as decoding or
 * another process wants a core, every parallel loop waits for a thread that is waiting itself. Settings that the user
 * made stay. In a worker thread `process.env` does not reach native code: there libgomp's default holds, unless the main
 * thread loaded it before.
 */
export function withShortSpinning<T>(load: () => T): T {
  const { GOMP_SPINCOUNT, OMP_WAIT_POLICY } = process.env
  if (GOMP_SPINCOUNT !== undefined || OMP_WAIT_POLICY !== undefined) return load()
  process.env.GOMP_SPINCOUNT = '1000'
  try {
    return load()
  } finally {
    delete process.env.GOMP_SPINCOUNT // child processes decide for themselves
  }
}
