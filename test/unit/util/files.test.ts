import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeLeftovers, replaceFile, temporaryPath } from '../../../lib/util/files.js'

describe('replacing a file', () => {
  let directory: string
  let path: string
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-files-'))
    path = join(directory, 'metrics.csv')
  })
  afterEach(() => rmSync(directory, { recursive: true }))

  /** The name of a temporary file of a process that has ended. */
  function leftover(): string {
    const script = `
      import { temporaryPath } from ${JSON.stringify(join(import.meta.dirname, '../../../lib/util/files.ts'))}
      console.log(temporaryPath(${JSON.stringify(directory)}))`
    const child = spawnSync(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script], {
      encoding: 'utf8',
    })
    assert.equal(child.status, 0, child.stderr)
    return child.stdout.trim()
  }

  it('gives it the new content and leaves nothing else', async () => {
    writeFileSync(path, 'old')
    await replaceFile(path, 'new')
    assert.equal(readFileSync(path, 'utf8'), 'new')
    assert.deepEqual(readdirSync(directory), ['metrics.csv'])
  })

  it('keeps the old content if writing fails, and leaves nothing else', async () => {
    writeFileSync(path, 'old')
    const failing = replaceFile(path, async file => {
      await file.writeFile('half of it')
      throw Object.assign(new Error('no space'), { code: 'ENOSPC' })
    })
    await assert.rejects(failing, {
      code: 'ERR_FILE_WRITE',
      message: /metrics\.csv: the disk is full\. Free/,
    })
    assert.equal(readFileSync(path, 'utf8'), 'old')
    assert.deepEqual(readdirSync(directory), ['metrics.csv'])
  })

  it('removes the temporary files and directories of processes that were killed', async () => {
    writeFileSync(leftover(), 'half of it')
    const folder = leftover()
    mkdirSync(folder)
    writeFileSync(join(folder, 'libtorch.so'), 'half of it')
    await replaceFile(path, 'new')
    assert.deepEqual(readdirSync(directory), ['metrics.csv'])
  })

  it("keeps its own process's temporary files, and every file with another name", async () => {
    const kept = [
      temporaryPath(directory),
      `${path}.tmp-${process.pid}-0`,
      join(directory, '.visiontorch-notes.tmp'),
    ]
    for (const file of kept) writeFileSync(file, '')
    await replaceFile(path, 'new')
    assert.equal(readdirSync(directory).length, kept.length + 1)
  })

  it("keeps another machine's or container's temporary files until they are an hour old", async () => {
    const other = join(directory, '.visiontorch-00000000-7-1234-0011223344556677.tmp')
    writeFileSync(other, '')
    await removeLeftovers(directory)
    assert.equal(readdirSync(directory).length, 1)
    utimesSync(other, new Date(), new Date(Date.now() - 3_700_000))
    await removeLeftovers(directory)
    assert.deepEqual(readdirSync(directory), [])
  })

  it('uses names that never collide', () => {
    const names = Array.from({ length: 1000 }, () => temporaryPath(directory))
    assert.equal(new Set(names).size, names.length)
  })

  it('does not replace a device or a directory', async () => {
    await assert.rejects(replaceFile('/dev/null', ''), {
      code: 'ERR_FILE_WRITE',
      message: 'cannot write /dev/null: it is a device, a pipe or a socket. Choose the path of a file',
    })
    await assert.rejects(replaceFile(directory, ''), { code: 'ERR_FILE_WRITE', message: /it is a directory/ })
  })
})
