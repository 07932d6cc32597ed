import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { hasKernels, kernelSets } from '../support/processor.js'
import { skip } from '../support/skip.js'
import { checkNetwork, checkTraining, networkRuns, trainingCases } from '../support/training-cases.js'

describe('ten steps of training, against PyTorch', () => {
  for (const name of trainingCases) it(name, () => checkTraining(name))

  for (const kernels of [...kernelSets, 'onednn'] as const)
    it(`matches in all of these cases with the kernels ${kernels}`, function () {
      if (kernels !== 'onednn' && !hasKernels(kernels)) skip(this, `this processor does not have ${kernels}`)
      const child = ['--import', 'tsx', 'test/support/training-child.ts']
      const env = { ...process.env, VISIONTORCH_KERNELS: kernels }
      const failed = JSON.parse(execFileSync(process.execPath, child, { env, encoding: 'utf8' }))
      assert.deepEqual(failed, {})
    })
})

describe('ten steps of training other networks, against PyTorch', function () {
  this.timeout(120_000)
  for (const run of networkRuns)
    it(`${run.architecture}, ${run.case.optimizer.name}`, () => checkNetwork(run))
})
