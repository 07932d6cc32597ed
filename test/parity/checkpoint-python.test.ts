import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type CheckpointValue,
  inspectCheckpoint,
  readCheckpoint,
  type TensorData,
  writeCheckpoint,
} from '../../lib/index.js'
import { NO_PYTHON, python, runReference } from '../support/python.js'
import { skip } from '../support/skip.js'

type Described = [type: string, value: unknown]

/** The result of torch.load(path, weights_only=True), with Python's types: see test/reference/read_checkpoint.py. */
const load = (path: string): Described => JSON.parse(runReference('read_checkpoint.py', path))

const tensors: TensorData[] = [
  { dtype: 'float64', shape: [2], data: Float64Array.of(0.1, -Infinity) },
  { dtype: 'float32', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4.5) },
  { dtype: 'float16', shape: [1, 2], data: Uint8Array.of(0x00, 0x3c, 0x01, 0x80) },
  { dtype: 'bfloat16', shape: [2], data: Uint8Array.of(0x80, 0x3f, 0x00, 0xc0) },
  { dtype: 'int64', shape: [1], data: BigInt64Array.of(-(2n ** 62n)) },
  { dtype: 'int32', shape: [2], data: Int32Array.of(1, -(2 ** 31)) },
  { dtype: 'int16', shape: [1], data: Int16Array.of(-300) },
  { dtype: 'int8', shape: [1], data: Int8Array.of(-128) },
  { dtype: 'uint8', shape: [3], data: Uint8Array.of(0, 128, 255) },
  { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) },
  { dtype: 'float32', shape: [], data: Float32Array.of(7) },
  { dtype: 'float32', shape: [0, 3], data: new Float32Array() },
]

const describeTensor = ({ dtype, shape, data }: TensorData): Described => [
  'Tensor',
  [dtype, shape, createHash('sha256').update(new Uint8Array(data.buffer)).digest('hex'), false],
]

describe(`what writeCheckpoint writes loads in Python with weights_only=True`, () => {
  let directory: string
  let path: string
  before(function () {
    if (!python) skip(this, NO_PYTHON)
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-python-'))
    path = join(directory, 'written.pth')
  })
  after(() => {
    if (directory !== undefined) rmSync(directory, { recursive: true })
  })

  for (const container of ['zip', 'legacy'] as const) {
    it(`tensors of every type, in a ${container} file`, async () => {
      const tied = [...tensors, tensors[1]!]
      await writeCheckpoint(path, tied, { container })
      assert.deepEqual(load(path), ['list', tied.map(describeTensor)])
      assert.equal((await inspectCheckpoint(path)).container, container)
      assert.deepEqual(await readCheckpoint(path), tied)
    })
  }

  it('plain values, nested', async () => {
    const value: CheckpointValue = new Map<CheckpointValue, CheckpointValue>([
      ['epoch', 3],
      ['best', 91.78],
      ['minus zero', -0],
      ['not a number', Number.NaN],
      ['nothing', null],
      ['flag', true],
      ['classes', ['cat', 'Straße', '猫', '']],
      ['state', new Map<CheckpointValue, CheckpointValue>([[0, new Map([['step', tensors[1]!]])]])],
      ['large', [2 ** 31, -(2 ** 53 - 1), 2n ** 63n, -(2n ** 63n), 2n ** 200n + 1n, -(2n ** 200n)]],
      ['__proto__', []],
    ])
    await writeCheckpoint(path, value)
    const str = (text: string): Described => ['str', text]
    const int = (text: number | bigint): Described => ['int', String(text)]
    assert.deepEqual(load(path), [
      'dict',
      [
        [str('epoch'), int(3)],
        [str('best'), ['float', '91.78']],
        [str('minus zero'), ['float', '-0.0']],
        [str('not a number'), ['float', 'nan']],
        [str('nothing'), ['NoneType', null]],
        [str('flag'), ['bool', true]],
        [str('classes'), ['list', ['cat', 'Straße', '猫', ''].map(str)]],
        [str('state'), ['dict', [[int(0), ['dict', [[str('step'), describeTensor(tensors[1]!)]]]]]]],
        [
          str('large'),
          [
            'list',
            [
              int(2 ** 31),
              int(-(2 ** 53 - 1)),
              int(2n ** 63n),
              int(-(2n ** 63n)),
              int(2n ** 200n + 1n),
              int(-(2n ** 200n)),
            ],
          ],
        ],
        [str('__proto__'), ['list', []]],
      ],
    ])
    assert.deepEqual(await readCheckpoint(path, { verify: true }), value)
  })

  it('one tensor alone', async () => {
    await writeCheckpoint(path, tensors[1]!)
    assert.deepEqual(load(path), describeTensor(tensors[1]!))
  })
})
