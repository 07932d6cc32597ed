import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import ts from 'typescript'
import { optionTable } from '../../../lib/train/table.js'

describe('the table of training options', () => {
  it("documents each row with the public option's comment", () => {
    const path = 'lib/train/table.ts'
    const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2023, true)
    const documented = new Set<string>()
    const visit = (node: ts.Node): void => {
      if (ts.isPropertyAssignment(node) && ts.getJSDocCommentsAndTags(node).length > 0)
        documented.add(node.name.getText())
      ts.forEachChild(node, visit)
    }
    visit(source)
    assert.deepEqual(
      Object.keys(optionTable).filter(name => !documented.has(name)),
      [],
    )
  })
})
