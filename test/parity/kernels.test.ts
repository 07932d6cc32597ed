import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { hasKernels } from '../support/processor.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

interface Case {
  architecture: string
  shape: [number, number, number]
  logits: number[]
  bfloat16: number
}

describe(`the inference kernels, against PyTorch in float64`, function () {
  this.timeout(600_000)
  let folder: string
  let cases: Case[]
  before(async function () {
    if (!python) skip(this, NO_PYTHON)
    folder = await temporaryFolder()
    const printed = runReference('kernels.py', folder)
    writeFileSync(join(folder, 'cases.json'), printed)
    cases = JSON.parse(printed)
  })
  after(removeTemporaryFolders)

  /** For each case, the difference of the logits from PyTorch's, as a fraction of the largest logit. */
  function deviations(kernels: string, dtype: 'float32' | 'bfloat16'): number[] {
    const child = ['--import', 'tsx', 'test/support/logits-child.ts', folder, dtype]
    const env = { ...process.env, VISIONTORCH_KERNELS: kernels }
    const printed = execFileSync(process.execPath, child, { env, encoding: 'utf8', maxBuffer: 1 << 28 })
    const all = JSON.parse(printed) as number[][]
    return cases.map(({ logits }, i) => {
      assert.equal(all[i]!.length, logits.length)
      const largest = Math.max(...logits.map(Math.abs))
      return Math.max(...logits.map((value, k) => Math.abs(value - all[i]![k]!))) / largest
    })
  }
  const title = ({ architecture, shape }: Case) => `${architecture}, ${shape.join(' x ')}`

  for (const kernels of ['avx512', 'avx2', 'onednn'] as const) {
    it(`${kernels}: logits of images of any size are within 1e-5 of the largest`, function () {
      if (kernels !== 'onednn' && !hasKernels(kernels)) skip(this, `this processor does not have ${kernels}`)
      for (const [i, deviation] of deviations(kernels, 'float32').entries())
        assert.ok(deviation <= 1e-5, `${title(cases[i]!)}: ${deviation}`)
    })
  }

  // "" selects the best kernels, which support bfloat16 if the processor can multiply it.
  for (const kernels of ['', 'onednn'])
    it(`${kernels || 'the default'}, in bfloat16: logits deviate at most twice as much as PyTorch's`, () => {
      for (const [i, deviation] of deviations(kernels, 'bfloat16').entries())
        assert.ok(
          deviation <= 2 * cases[i]!.bfloat16,
          `${title(cases[i]!)}: ${deviation}, PyTorch ${cases[i]!.bfloat16}`,
        )
    })
})
