/** Skips the test or, in a `before` hook, all tests of the suite. test/reporter.cjs shows the reason at the end. */
export function skip(context: Mocha.Context, reason: string): never {
  const runnable = context.runnable() as Mocha.Test | Mocha.Hook
  const skipped = runnable.type === 'hook' ? runnable.parent! : runnable
  Object.assign(skipped, { skipReason: reason })
  return context.skip()
}
