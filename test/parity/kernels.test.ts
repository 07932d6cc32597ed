import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { python, pythonSkip, runReference } from '../support/python.js'

interface Case {
  architecture: string
  shape: [number, number, number]
  logits: number[]
}

describe(`the inference kernels, against PyTorch in float64${pythonSkip}`, function () {
  this.timeout(600_000)
  if (python === undefined) {
    it.skip('needs Python')
    return
  }
  let folder: string
  let cases: Case[]
  before(async () => {
    folder = await temporaryFolder()
    const printed = runReference('kernels.py', folder)
    writeFileSync(join(folder, 'cases.json'), printed)
    cases = JSON.parse(printed)
  })
  after(removeTemporaryFolders)

  // On a processor without AVX-512, "avx512" runs what it has.
  for (const kernels of ['avx512', 'avx2', 'onednn']) {
    it(`${kernels}: logits of images of any size are within 1e-5 of the largest`, () => {
      const child = ['--import', 'tsx', 'test/support/logits-child.ts', folder]
      const env = { ...process.env, VISIONTORCH_KERNELS: kernels }
      const all = JSON.parse(
        execFileSync(process.execPath, child, { env, encoding: 'utf8', maxBuffer: 1 << 28 }),
      ) as number[][]
      for (const [i, { architecture, shape, logits }] of cases.entries()) {
        assert.equal(all[i]!.length, logits.length)
        const largest = Math.max(...logits.map(Math.abs))
        const difference = Math.max(...logits.map((value, k) => Math.abs(value - all[i]![k]!))) / largest
        assert.ok(difference <= 1e-5, `${architecture}, ${shape.join(' x ')}: ${difference}`)
      }
    })
  }
})
