/**
 * Runs `load`, which loads libgomp, such that libgomp's idle workers spin for microseconds and then sleep. The default
 * of milliseconds is a little faster on an otherwise idle machine, but as soon as decoding or another process needs a
 * core, every parallel loop waits for a thread that is itself waiting. The user's own settings stay. In a worker thread,
 * `process.env` does not reach native code, so libgomp's default applies unless the main thread loaded it before.
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
