import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { networksDocument, withTables } from '../../../scripts/networks-table.js'

describe('the tables of networks', () => {
  it('are up to date in docs/networks.md (npm run networks-table)', () => {
    const document = readFileSync(networksDocument, 'utf8')
    assert.equal(document, withTables(document))
    assert.match(document, /^\| `resnet50` \| 80\.9 \| 95\.4 \| 25\.6 \| 4\.09 \| 224 \| bilinear \|/m)
    assert.match(document, /^\| `vit_h_14` \(NC\) \| 88\.6 /m)
  })
})
