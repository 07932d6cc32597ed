import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { inspectCheckpoint, readCheckpoint } from '../../lib/index.js'
import { hashTensors, type TensorHash } from '../support/checkpoint.js'
import { hasShared, shared } from '../support/shared.js'

type Expected = Record<string, { error?: string; tensors?: Record<string, TensorHash & { kind?: string }> }>

const expected = (name: string): Expected => JSON.parse(readFileSync(shared(`pth/${name}`), 'utf8'))

// Files of other people's programs, and what torch 2.13 reads from them.
describe(`checkpoints made by others${hasShared ? '' : ' (skipped: no ../shared)'}`, () => {
  before(function () {
    if (!hasShared) this.skip()
  })

  // Refused by torch.load(weights_only=True), and read here.
  const readable: Record<string, string[]> = {
    'p4_zip.pth': [
      '0.weight',
      '0.bias',
      '1.weight',
      '1.bias',
      '1.running_mean',
      '1.running_var',
      '1.num_batches_tracked',
    ],
    'own_tar.pth': ['weight', 'bias'],
  }

  for (const [folder, list] of [
    ['real', 'expected-real.json'],
    ['fixtures', 'expected-fixtures.json'],
  ] as const) {
    for (const [file, { error, tensors }] of hasShared ? Object.entries(expected(list)) : []) {
      const path = shared(`pth/${folder}/${file}`)
      const isUnsupported = Object.values(tensors ?? {}).some(tensor => tensor.kind === 'unsupported')
      if (file in readable) {
        it(`${file} is read, where torch refuses it`, async () => {
          assert.deepEqual(Object.keys(hashTensors(await readCheckpoint(path))), readable[file])
        })
      } else if (error !== undefined || isUnsupported) {
        it(`${file} is refused with a reason of its own`, async () => {
          await assert.rejects(readCheckpoint(path), {
            code: 'ERR_CHECKPOINT_UNSUPPORTED',
            message: /(whole model|TorchScript|complex|quantized|sparse).*Save|save/,
          })
        })
      } else {
        it(`${file} reads to torch's bytes`, async () => {
          assert.deepEqual(hashTensors(await readCheckpoint(path, { verify: true })), tensors)
          const { tensors: listed } = await inspectCheckpoint(path)
          assert.deepEqual(
            listed.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
            Object.entries(tensors ?? {}).map(([name, { dtype, shape }]) => ({ name, dtype, shape })),
          )
        })
      }
    }
  }
})
