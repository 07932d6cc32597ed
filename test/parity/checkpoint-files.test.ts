import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspectCheckpoint, readCheckpoint } from '../../lib/index.js'
import { hashTensors, type TensorHash } from '../support/checkpoint.js'
import { hasShared, NO_SHARED, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'

const fixtures = join(import.meta.dirname, '../fixtures/checkpoints')

interface Expected {
  container?: string
  tensors?: Record<string, TensorHash & { kind?: string }>
  unsupported?: string
  error?: string
}

const readJson = (path: string): Record<string, Expected> => JSON.parse(readFileSync(path, 'utf8'))

async function assertReads(path: string, { container, tensors = {} }: Expected) {
  assert.deepEqual(hashTensors(await readCheckpoint(path, { verify: true })), tensors)
  const summary = await inspectCheckpoint(path)
  if (container !== undefined) assert.equal(summary.container, container)
  assert.deepEqual(
    summary.tensors.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
    Object.entries(tensors).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
  )
}

function assertUnsupported(path: string, reason: RegExp) {
  return assert.rejects(readCheckpoint(path), error => {
    assert.equal((error as { code?: string }).code, 'ERR_CHECKPOINT_UNSUPPORTED')
    assert.match((error as Error).message, reason)
    assert.match((error as Error).message, /save/i, 'it says what to do')
    return true
  })
}

const reasons: Record<string, RegExp> = { module: /whole model/, TorchScript: /TorchScript/ }

// test/reference/checkpoints.py
describe('checkpoints that torch 2.13 writes', () => {
  for (const [file, expected] of Object.entries(readJson(join(fixtures, 'checkpoints.json')))) {
    const { unsupported } = expected
    if (unsupported === undefined) {
      it(`${file} reads to torch's bytes`, () => assertReads(join(fixtures, file), expected))
    } else {
      it(`${file} is refused, naming ${unsupported}`, () =>
        assertUnsupported(join(fixtures, file), reasons[unsupported]!))
    }
  }

  it('plain values are the same as in Python', async () => {
    const { metadata } = await inspectCheckpoint(join(fixtures, 'training_zip.pth'))
    const { state_dict, optimizer, ...values } = Object.fromEntries(metadata)
    assert.equal(state_dict, undefined)
    assert.deepEqual(
      Object.fromEntries((optimizer as Map<string, [Map<string, unknown>]>).get('param_groups')![0]),
      {
        lr: 0.1,
        momentum: 0.9,
        dampening: 0,
        weight_decay: 0,
        nesterov: false,
        maximize: false,
        foreach: null,
        differentiable: false,
        fused: null,
        params: [0, 1, 2, 3],
      },
    )
    assert.deepEqual(values, {
      epoch: 3,
      best: 91.78,
      classes: ['cat', 'dog', 'é'],
      betas: [0.9, 0.999],
      nothing: null,
      flag: true,
      big: 2n ** 70n,
      negative: -(2 ** 40),
      bytes: Uint8Array.of(0, 255, 127),
      set: [1],
      size: [2, 3],
      device: 'cpu',
      dtype: 'torch.float32',
      // In brackets, so that it is an own property instead of the prototype.
      ['__proto__']: 'a name like any other',
    })
  })
})

describe(`checkpoints that other projects published`, () => {
  before(function () {
    if (!hasShared) skip(this, NO_SHARED)
  })
  for (const [file, expected] of hasShared
    ? Object.entries(readJson(shared('pth/expected-real.json')))
    : []) {
    const path = shared(`pth/real/${file}`)
    if (expected.error === undefined) it(`${file} reads to torch's bytes`, () => assertReads(path, expected))
    else it(`${file} is refused: TorchScript`, () => assertUnsupported(path, /TorchScript/))
  }
})

describe(`checkpoints of older torch`, () => {
  before(function () {
    if (!hasShared) skip(this, NO_SHARED)
  })
  // torch 2.13 refuses this file, which holds the state dict of sd_zip.pth.
  const stateDict = hasShared ? readJson(shared('pth/expected-fixtures.json'))['sd_zip.pth']!.tensors! : {}
  const readable: Record<string, string[]> = {
    'p4_zip.pth': Object.keys(stateDict),
    'own_tar.pth': ['weight', 'bias'],
  }
  for (const [file, expected] of hasShared
    ? Object.entries(readJson(shared('pth/expected-fixtures.json')))
    : []) {
    const path = shared(`pth/fixtures/${file}`)
    const tensors = Object.entries(expected.tensors ?? {})
    if (file in readable) {
      it(`${file} is read, although torch refuses it`, async () => {
        assert.deepEqual(Object.keys(hashTensors(await readCheckpoint(path))), readable[file])
      })
    } else if (expected.error !== undefined) {
      it(`${file} is refused`, () => assertUnsupported(path, /whole model/))
    } else if (tensors.some(([, { kind }]) => kind === 'unsupported')) {
      it(`${file} is read, with complex, quantized or sparse tensors among others`, async () => {
        const hashes = hashTensors(await readCheckpoint(path))
        for (const [name, hash] of tensors)
          if (hash.kind !== 'unsupported') assert.deepEqual(hashes[name], hash)
      })
    } else {
      it(`${file} reads to torch's bytes`, () => assertReads(path, expected))
    }
  }
})
