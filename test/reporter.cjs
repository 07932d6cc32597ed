// mocha's spec reporter, which also saves its counts and the reasons of skipped tests for scripts/test.ts.
const { writeFileSync } = require('node:fs')
const { reporters, Runner } = require('mocha')

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    const skips = []
    runner.on(Runner.constants.EVENT_TEST_PENDING, test =>
      skips.push({ title: test.fullTitle(), reason: reasonOf(test) }),
    )
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = runner.stats
      const path = process.env.VISIONTORCH_TEST_REPORT
      if (path) writeFileSync(path, JSON.stringify({ passes, failures, pending, skips }))
    })
  }
}

/** Returns the reason that skip() of test/support/skip.ts recorded for the test or a suite around it, or undefined. */
function reasonOf(test) {
  for (let at = test; at; at = at.parent) if (at.skipReason) return at.skipReason
}
