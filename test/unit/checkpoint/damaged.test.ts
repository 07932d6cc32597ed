import assert from 'node:assert/strict'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { VisionTorchError } from '../../../lib/index.js'
import { native } from '../../../lib/native/native.js'

const fixture = (name: string) => readFileSync(join(import.meta.dirname, '../../fixtures/checkpoints', name))

// A file of every container, small enough to be damaged at every byte.
const files = ['views_zip.pth', 'training_legacy.pth', 'protocol1.pth', 'protocol4.pth', 'tar.pth']

describe('damaged checkpoints', function () {
  this.timeout(120_000)
  let directory: string
  let path: string
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-damaged-'))
    path = join(directory, 'damaged.pth')
  })
  after(() => rmSync(directory, { recursive: true }))

  /** Reads the whole file and returns the error, if any. */
  async function read(): Promise<unknown> {
    try {
      const checkpoint = await native().openCheckpoint(path, { verify: true })
      checkpoint.inspect()
      await checkpoint.read()
      checkpoint.dispose()
      return undefined
    } catch (error) {
      return error
    }
  }

  for (const file of files) {
    const bytes = fixture(file)
    // A tar file ends with blocks of zeros, but needs only one of them.
    const end = file === 'tar.pth' ? bytes.findLastIndex(byte => byte !== 0) + 1 : bytes.length

    it(`${file}, truncated at any byte, is an error`, async () => {
      writeFileSync(path, bytes)
      for (let length = bytes.length - 1; length >= 0; length--) {
        truncateSync(path, length)
        const error = await read()
        if (length < end) assert.ok(error instanceof VisionTorchError, `${length} bytes are read`)
        if (error !== undefined) assert.equal((error as VisionTorchError).code, 'ERR_CHECKPOINT_CORRUPT')
      }
    })

    it(`${file}, with any byte changed, is read or refused`, async () => {
      const codes = new Set<string>()
      writeFileSync(path, bytes)
      const file = openSync(path, 'r+')
      for (let at = 0; at < end; at++) {
        for (const change of [0x01, 0x80, 0xff]) {
          writeSync(file, Uint8Array.of(bytes[at]! ^ change), 0, 1, at)
          const error = await read()
          if (error instanceof VisionTorchError) codes.add(error.code)
          else assert.equal(error, undefined)
        }
        writeSync(file, bytes, at, 1, at)
      }
      closeSync(file)
      for (const code of codes) assert.match(code, /^ERR_CHECKPOINT_(CORRUPT|UNSAFE|UNSUPPORTED)$/)
    })
  }
})
