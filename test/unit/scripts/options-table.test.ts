import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { documents, withOptionsTable } from '../../../scripts/options-table.js'

describe('the table of training options', () => {
  for (const path of documents) {
    it(`is up to date in ${path.split(/[/\\]/).slice(-2).join('/')} (npm run options-table)`, () => {
      const document = readFileSync(path, 'utf8')
      assert.equal(document, withOptionsTable(document) ?? document)
    })
  }
})
