// mocha's spec reporter, which also leaves its counts for scripts/test.mjs.
const { writeFileSync } = require('node:fs')
const { reporters, Runner } = require('mocha')

module.exports = class extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options)
    runner.once(Runner.constants.EVENT_RUN_END, () => {
      const { passes, failures, pending } = runner.stats
      const path = process.env.VISIONTORCH_TEST_REPORT
      if (path) writeFileSync(path, JSON.stringify({ passes, failures, pending }))
    })
  }
}
