import assert from 'node:assert/strict'
import { removeTemporaryFolders, temporaryFolder } from '../support/folder.js'
import { canMount, runUnder } from '../support/namespace.js'

const reading = ['loadModel', 'predict']

const faults = {
  full: { title: 'a full disk', errors: ['ERR_FILE_WRITE'], unaffected: reading },
  'read-only': { title: 'a read-only file system', errors: ['ERR_FILE_WRITE'], unaffected: reading },
  descriptors: {
    title: 'a process out of file descriptors',
    errors: ['ERR_FILE_WRITE', 'ERR_FILE_READ', 'ERR_IMAGE_DECODE', 'ERR_DATASET'],
    unaffected: [],
  },
} as const

const skip = canMount ? '' : ' (skipped: this user may not mount a file system)'

describe(`faults of the file system${skip}`, function () {
  this.timeout(120_000)
  before(function () {
    if (!canMount) this.skip()
  })
  afterEach(removeTemporaryFolders)

  for (const [fault, { title, errors, unaffected }] of Object.entries(faults)) {
    it(`${title} causes an error that says so, loses no file, leaves none behind, and has no effect afterwards`, async () => {
      const outcomes = runUnder(fault as keyof typeof faults, await temporaryFolder())
      for (const { operation, result, message, damaged, extra } of outcomes) {
        const expected: readonly string[] = unaffected.includes(operation as never) ? ['done'] : errors
        assert.ok(expected.includes(result), `${operation}: ${result} ${message}`)
        if (result !== 'done') assert.match(message, /disk is full|No space|read-only|too many open files/i)
        assert.deepEqual({ damaged, extra }, { damaged: [], extra: [] }, operation)
      }
      assert.equal(outcomes.length, 8)
    })
  }
})
