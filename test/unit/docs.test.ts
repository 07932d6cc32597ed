import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { trainCommand } from '../../lib/cli/train.js'

const root = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const pages = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs')).map(name => `docs/${name}`),
].filter(path => path.endsWith('.md'))

/** Returns GitHub's anchors of a page's headings. */
function anchors(markdown: string): string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

describe('the documentation', () => {
  for (const page of pages) {
    it(`${page} has no dead link`, () => {
      for (const [, target] of read(page).matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
        const [path, anchor] = target!.split('#') as [string, string?]
        const file = path === '' ? page : join(dirname(page), path)
        assert.ok(existsSync(join(root, file)), `${target} does not exist`)
        if (anchor !== undefined)
          assert.ok(anchors(read(file)).includes(anchor), `${target}: no such heading`)
      }
    })
  }

  it('starts jobs on clusters with options that visiontorch train has', () => {
    const page = read('docs/clusters.md')
    const commands = [...page.matchAll(/visiontorch train [^\n]*/g)].map(([line]) => line)
    const manifests = [...page.matchAll(/args: \[train, [^\]]*\]/g)].map(([line]) => line)
    assert.equal(manifests.length, 3)
    const flags = [...commands, ...manifests].flatMap(line => line.match(/--[a-z-]+/g) ?? [])
    const known = trainCommand().options.flatMap(({ flags }) => flags.match(/--[a-z-]+/g) ?? [])
    for (const flag of flags) assert.ok(known.includes(flag), flag)
  })

  it('explains every error code, and no other', () => {
    const codes = (text: string) => [...new Set(text.match(/ERR_[A-Z_]+/g))].sort()
    assert.deepEqual(codes(read('docs/errors.md')), codes(read('lib/util/errors.ts')))
  })

  it('keeps the README short', () => {
    assert.ok(Buffer.byteLength(read('README.md')) <= 6144)
  })
})
