import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspectCheckpoint, readCheckpoint, type TensorData, writeCheckpoint } from '../../../lib/index.js'
import { createModel, loadModel } from '../../../lib/model/create-model.js'
import { removeTemporaryFolders, temporaryFolder } from '../../support/folder.js'
import { i64 } from '../../support/pth.js'

/** Makes a file with this header and so many bytes of data. */
const file = (header: string | Buffer, bytes = 0) =>
  Buffer.concat([i64(Buffer.byteLength(header)), Buffer.from(header), Buffer.alloc(bytes)])

const entry = (begin: number, end: number, shape = [(end - begin) / 4], dtype = 'F32') =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] })

describe('safetensors files', () => {
  let path: string
  before(async () => {
    path = join(await temporaryFolder(), 'model.safetensors')
  })
  after(removeTemporaryFolders)

  async function read(bytes: Uint8Array) {
    writeFileSync(path, bytes)
    return readCheckpoint(path)
  }
  async function refuses(bytes: Uint8Array, message: RegExp, code = 'ERR_CHECKPOINT_CORRUPT') {
    writeFileSync(path, bytes)
    for (const read of [readCheckpoint, inspectCheckpoint])
      await assert.rejects(read(path), { code, message }, String(message))
  }

  it('are read, with tensors by name and metadata', async () => {
    const header = `{"__metadata__":{"format":"pt"},"w":${entry(0, 8)},"caf\\u00e9 \\ud83d\\ude00":${entry(8, 8, [0, 3])}}  `
    assert.deepEqual(
      await read(file(header, 8)),
      new Map<string, unknown>([
        ['__metadata__', new Map([['format', 'pt']])],
        ['w', { dtype: 'float32', shape: [2], data: new Float32Array(2) }],
        ['café 😀', { dtype: 'float32', shape: [0, 3], data: new Float32Array() }],
      ]),
    )
    assert.deepEqual(await inspectCheckpoint(path), {
      container: 'safetensors',
      tensors: [
        { name: 'w', dtype: 'float32', shape: [2], bytes: 8 },
        { name: 'café 😀', dtype: 'float32', shape: [0, 3], bytes: 0 },
      ],
      skipped: [],
      metadata: new Map([['__metadata__', new Map([['format', 'pt']])]]),
    })
  })

  it('may be empty, and may list tensors in an order different from that of the data', async () => {
    assert.deepEqual(await read(file('{}')), new Map())
    const bytes = file(`{"b":${entry(4, 8)},"a":${entry(0, 4)}}`, 8)
    bytes.writeFloatLE(1, bytes.length - 8)
    bytes.writeFloatLE(2, bytes.length - 4)
    const content = (await read(bytes)) as Map<string, TensorData>
    assert.deepEqual(content.get('a')!.data, Float32Array.of(1))
    assert.deepEqual(content.get('b')!.data, Float32Array.of(2))
  })

  it('are written with tensors of every type, each aligned to its element size', async () => {
    const value = new Map<string, TensorData>([
      ['flag', { dtype: 'bool', shape: [1], data: Uint8Array.of(1) }],
      ['half', { dtype: 'float16', shape: [1], data: Uint8Array.of(0, 0x3c) }],
      ['count', { dtype: 'int64', shape: [], data: BigInt64Array.of(-3n) }],
      ['w "\\\n', { dtype: 'float32', shape: [1, 2], data: Float32Array.of(1, 2) }],
    ])
    await writeCheckpoint(path, value, { container: 'safetensors' })
    const written = readFileSync(path)
    assert.equal(Number(written.readBigUInt64LE()) % 8, 0)
    const header = JSON.parse(written.subarray(8, 8 + Number(written.readBigUInt64LE())).toString())
    assert.deepEqual(header, {
      count: { dtype: 'I64', shape: [], data_offsets: [0, 8] },
      'w "\\\n': { dtype: 'F32', shape: [1, 2], data_offsets: [8, 16] },
      half: { dtype: 'F16', shape: [1], data_offsets: [16, 18] },
      flag: { dtype: 'BOOL', shape: [1], data_offsets: [18, 19] },
    })
    assert.deepEqual(
      new Map([...((await readCheckpoint(path)) as Map<string, TensorData>)].sort()),
      new Map([...value].sort()),
    )
  })

  it('can hold only tensors with names', async () => {
    const options = { container: 'safetensors' } as const
    const refused = (value: Parameters<typeof writeCheckpoint>[1], message: RegExp) =>
      assert.rejects(writeCheckpoint(path, value, options), { code: 'ERR_INVALID_ARGUMENT', message })
    await refused(
      new Map([['epoch', 3]]),
      /'epoch' cannot be written into a safetensors file: expected a tensor/,
    )
    await refused([1], /expected a dictionary of tensors/)
    await refused(new Map([['__metadata__', new Map([['epoch', 3]])]]), /expected a dictionary of strings/)
    await refused(
      new Map([['\udc80', { dtype: 'uint8', shape: [0], data: new Uint8Array() }]]),
      /not valid Unicode/,
    )
    await assert.rejects(writeCheckpoint(path, null, { container: 'tar' as never }), {
      code: 'ERR_INVALID_ARGUMENT',
      message: /container/,
    })
  })

  describe('that are damaged or hostile are refused', () => {
    it('a header of an impossible length', async () => {
      const header = file('{}')
      const withLength = (length: bigint) => {
        const bytes = Buffer.from(header)
        bytes.writeBigUInt64LE(length)
        return bytes
      }
      await refuses(withLength(3n), /the file says that its header has 3 bytes, but only 2 follow.*damaged/)
      await refuses(withLength(100_000_001n), /100000001 bytes, but a header may have at most 100000000/)
      await refuses(withLength(2n ** 64n - 1n), /18446744073709551615 bytes, but a header may have at most/)
      await refuses(withLength(1n), /expected '"' at byte 1 of the header, got its end/)
    })

    it('data that overlaps, leaves a gap, or extends beyond the file', async () => {
      await refuses(file(`{"a":${entry(0, 8)},"b":${entry(4, 12)}}`, 12), /'b' overlaps that of another/)
      await refuses(
        file(`{"a":${entry(0, 4)},"b":${entry(8, 12)}}`, 12),
        /4 bytes before the data of tensor 'b'/,
      )
      await refuses(file(`{"a":${entry(0, 8)}}`, 4), /'a' ends at byte 8, but the file has 4 bytes of data/)
      await refuses(
        file(`{"a":${entry(0, 4)}}`, 8),
        /4 bytes at the end of the file do not belong to any tensor/,
      )
      await refuses(
        file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}`, 4),
        /not a start and an end/,
      )
      await refuses(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}}`, 4), /not a start and an end/)
      await refuses(
        file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}`, 4),
        /more than 2 numbers/,
      )
    })

    it('shapes that do not fit the data, or that overflow', async () => {
      await refuses(
        file(`{"a":${entry(0, 4, [2])}}`, 4),
        /has 4 bytes of data, but its shape and type need 8/,
      )
      await refuses(file(`{"a":${entry(0, 4, [2 ** 31, 2 ** 31, 2 ** 31])}}`, 4), /beyond any file/)
      await refuses(
        file(`{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}`, 4),
        /beyond any file/,
      )
      await refuses(file(`{"a":${entry(0, 4, Array(65).fill(1))}}`, 4), /more than 64 numbers/)
      for (const size of ['-1', '01', '1.5', '1e3', '"1"', 'null', '[1]'])
        await refuses(file(`{"a":{"dtype":"F32","shape":[${size}],"data_offsets":[0,4]}}`, 4), /expected /)
    })

    it('keys that are duplicate, missing or unknown', async () => {
      await refuses(file(`{"a":${entry(0, 4)},"a":${entry(4, 8)}}`, 8), /'a' occurs twice/)
      await refuses(file('{"__metadata__":{},"__metadata__":{}}'), /'__metadata__' occurs twice/)
      await refuses(file('{"__metadata__":{"a":"1","\\u0061":"2"}}'), /'a' occurs twice/)
      await refuses(
        file('{"a":{"dtype":"F32","dtype":"F32","shape":[0],"data_offsets":[0,0]}}'),
        /'dtype' twice/,
      )
      await refuses(file('{"a":{"shape":[0],"data_offsets":[0,0]}}'), /lacks its dtype/)
      await refuses(file('{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0],"x":1}}'), /unknown field 'x'/)
    })

    it('types that are unknown, or not supported', async () => {
      await refuses(file(`{"a":${entry(0, 4, [1], 'Q4')}}`, 4), /unknown type 'Q4'/)
      await refuses(
        file(`{"a":${entry(0, 4, [8], 'F4')}}`, 4),
        /of type F4, which is not supported/,
        'ERR_CHECKPOINT_UNSUPPORTED',
      )
    })

    it('metadata that is not strings, and nesting', async () => {
      await refuses(file('{"__metadata__":{"a":1}}'), /the metadata 'a' is not a string/)
      await refuses(file('{"__metadata__":"a"}'), /expected '{'/)
      await refuses(file(`{"a":${'['.repeat(100_000)}`), /expected '{'/)
      await refuses(file(`{"a":{"dtype":"F32","shape":${'['.repeat(100_000)}`), /expected a whole number/)
    })

    it('JSON that is not strict', async () => {
      for (const header of [
        '{',
        '{"a"',
        '{"a":}',
        '{,}',
        '{}x',
        '{} {}',
        "{'a':1}",
        '{"a',
        '{"\\x":1}',
        '{"\\u12g4":1}',
        '{"\n":1}',
        `{"a":${entry(0, 0)},}`,
        '{"\\ud83d":1}',
        '{"\\udc00":1}',
      ])
        await refuses(file(header), /of the header/)
      await refuses(file(Buffer.from('{"\xff":1}', 'latin1')), /not UTF-8/)
    })

    it('endless names, and countless tensors', async () => {
      await refuses(file(`{"${'n'.repeat(5000)}":${entry(0, 0)}}`), /more than 4096 bytes/)
      const many = Array.from({ length: 40_000 }, (_, i) => `"${i}":${entry(0, 0)}`)
      await refuses(file(`{${many}}`), /more than 32768 tensors/, 'ERR_CHECKPOINT_UNSUPPORTED')
      const strings = Array.from({ length: 3_000_000 }, (_, i) => `"${i}":""`)
      await refuses(file(`{"__metadata__":{${strings}}}`), /steps to read|MiB of memory/)
    })

    it('a file that was truncated at any byte', async () => {
      const whole = file(`{"__metadata__":{"format":"pt"},"w":${entry(0, 8)},"v":${entry(8, 16)}}`, 16)
      for (let length = 0; length < whole.length; length++) {
        writeFileSync(path, whole.subarray(0, length))
        await assert.rejects(readCheckpoint(path), { code: 'ERR_CHECKPOINT_CORRUPT' }, `${length} bytes`)
      }
    })
  })

  describe('of models', () => {
    it('are saved and loaded with classes, preprocessing and options', async () => {
      const classes = ['cat', 'リンゴ', 'Gro\udcdf']
      using model = await createModel('mobilenet_v2', { classes, widthMult: 0.25, seed: 3, device: 'cpu' })
      model.preprocessing = { ...model.preprocessing, crop: 96, resize: 100 }
      await model.save(path, { format: 'safetensors' })
      for (const mmap of [false, true]) {
        using loaded = await loadModel(path, { device: 'cpu', mmap })
        assert.deepEqual(loaded.classes, classes)
        assert.deepEqual(loaded.preprocessing, model.preprocessing)
        assert.deepEqual(loaded.networkOptions, { widthMult: 0.25 })
        assert.deepEqual(await loaded.stateDict(), await model.stateDict())
      }
    })

    it('of other programs are loaded, and a NaN in them is found', async () => {
      using model = await createModel('squeezenet1_1', { numClasses: 2, seed: 3, device: 'cpu' })
      const state = await model.stateDict()
      const container = 'safetensors'
      await writeCheckpoint(path, new Map([...state].map(([name, tensor]) => [`net.${name}`, tensor])), {
        container,
      })
      using loaded = await createModel('squeezenet1_1', { weights: path, device: 'cpu' })
      assert.deepEqual(await loaded.stateDict(), state)
      assert.equal(loaded.loadReport!.prefix, 'net.')
      await assert.rejects(loadModel(path), {
        code: 'ERR_CHECKPOINT_MISMATCH',
        message: /does not say which network/,
      })
      ;(state.get('classifier.1.bias')!.data as Float32Array)[0] = Number.NaN
      await writeCheckpoint(path, state, { container })
      await assert.rejects(createModel('squeezenet1_1', { weights: path }), { code: 'ERR_NON_FINITE' })
    })

    it('keep the mark of an untrained classifier', async () => {
      using model = await createModel('squeezenet1_1', { numClasses: 2, device: 'cpu' })
      await model.save(path)
      using other = await createModel('squeezenet1_1', { weights: path, numClasses: 3, device: 'cpu' })
      await other.save(path, { format: 'safetensors' })
      using loaded = await loadModel(path, { device: 'cpu' })
      assert.equal(loaded.untrained, true)
    })
  })
})
