import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspectCheckpoint, readCheckpoint } from '../../../lib/index.js'
import { native } from '../../../lib/native/native.js'
import { i64, legacyFile, op, pickle, storage, tar, tensor, zip, zipFile } from '../../support/pth.js'
import { hasShared, NO_SHARED, shared } from '../../support/shared.js'
import { skip } from '../../support/skip.js'

describe('hostile checkpoints', () => {
  let directory: string
  let path: string
  before(() => {
    native() // LibTorch's own memory does not count
    directory = mkdtempSync(join(tmpdir(), 'visiontorch-hostile-'))
    path = join(directory, 'hostile.pth')
  })
  after(() => rmSync(directory, { recursive: true }))

  async function refuses(bytes: Uint8Array, code: string, message: RegExp) {
    writeFileSync(path, bytes)
    for (const read of [readCheckpoint, inspectCheckpoint]) {
      await assert.rejects(read(path), { code, message })
    }
  }
  const isCorrupt = (bytes: Uint8Array, message: RegExp) => refuses(bytes, 'ERR_CHECKPOINT_CORRUPT', message)
  const isUnsafe = (bytes: Uint8Array, message: RegExp) => refuses(bytes, 'ERR_CHECKPOINT_UNSAFE', message)
  async function reads(bytes: Uint8Array) {
    writeFileSync(path, bytes)
    return readCheckpoint(path)
  }

  it('valid files from the builders of these tests are read', async () => {
    for (const bytes of [zipFile(tensor()), legacyFile(tensor({ view: 'N' }))]) {
      assert.deepEqual(await reads(bytes), { dtype: 'float32', shape: [4], data: new Float32Array(4) })
    }
  })

  describe('code', () => {
    const system = op.call('posix.system', op.str('echo gotcha'))
    const position = /"posix\.system" at byte 2 of data\.pkl/

    it('never runs: a global is refused with its name and place', async () => {
      await isUnsafe(zipFile(system), position)
      await isUnsafe(legacyFile(system), /"posix\.system" at byte \d+ of the file/)
      await isUnsafe(
        tar([{ name: 'sys_info', data: pickle(system) }]),
        /"posix\.system" at byte 2 of member 'sys_info'/,
      )
      await isUnsafe(
        zipFile(Buffer.concat([op.str('posix'), op.str('system'), Buffer.from([0x93])])),
        /"posix\.system"/,
      )
    })

    for (const name of [
      'builtins.eval',
      '__builtin__.exec',
      'os.system',
      'subprocess.Popen',
      'importlib.import_module',
      '_pickle.loads',
      'webbrowser.open',
      'pip.main',
      'numpy.load',
      'torch.load',
      'torch._utils._rebuild_tensor_v2 ',
      'torch.storage._load_from_bytes',
      'collections.OrderedDict.fromkeys',
      'torch.FloatStorage.from_file',
      'torch.hub.load',
      '__main__.net',
    ]) {
      it(`a call of ${name} is refused`, () =>
        isUnsafe(
          zipFile(op.dict(op.str('w'), tensor(), op.str('x'), op.call(name, op.str('x')))),
          /which Python would execute if|which lets a file run programs if/,
        ))
    }

    // DUP, INST, OBJ, the text forms of protocol 0, the EXT registry and out-of-band buffers.
    for (const opcode of [...'2iodlFSVPpg', '\x82', '\x83', '\x84', '\x97', '\x98']) {
      const hex = opcode.charCodeAt(0).toString(16)
      it(`opcode 0x${hex} is refused`, () =>
        isUnsafe(
          zipFile(Buffer.from(`N${opcode}`, 'latin1')),
          new RegExp(`the opcode 0x${hex} at byte 3`, 'i'),
        ))
    }

    it('an allowed function accepts only the arguments that it has in a checkpoint', async () => {
      await isCorrupt(
        zipFile(op.call('torch._utils._rebuild_tensor_v2', op.str('x'))),
        /wrong arguments for torch._utils/,
      )
      await isCorrupt(zipFile(op.call('torch.Size', op.list(op.str('x')))), /wrong arguments for torch.Size/)
      await isCorrupt(
        zipFile(op.call('_codecs.encode', op.str('x'), op.str('rot13'))),
        /wrong arguments for _codecs/,
      )
      await isCorrupt(zipFile(op.call('torch.float32')), /a type and not a function/)
      await isCorrupt(
        zipFile(Buffer.concat([op.str('x'), op.tuple(), Buffer.from('R')])),
        /REDUCE target is not callable/,
      )
    })

    it('a pickled model is refused with the Python code that saves its weights', async () => {
      const model = Buffer.concat([
        op.global('__main__.Net'),
        op.tuple(),
        Buffer.from('\x81', 'latin1'),
        op.dict(op.str('_parameters'), op.dict(op.str('w'), tensor()), op.str('_modules'), op.dict()),
        Buffer.from('b'),
      ])
      const message =
        /whole model \(__main__\.Net\).*weights_only=False\); torch\.save\(model\.state_dict\(\)/
      await refuses(zipFile(model), 'ERR_CHECKPOINT_UNSUPPORTED', message)
      await refuses(
        zipFile(op.dict(op.str('net'), model)),
        'ERR_CHECKPOINT_UNSUPPORTED',
        /whole model under 'net'.*\['net'\]; torch\.save/,
      )
      const legacy = Buffer.concat([
        op.tuple(op.str('module'), op.global('__main__.Net'), op.str('net.py'), op.str('class Net')),
        Buffer.from('Q'),
      ])
      writeFileSync(path, legacyFile(op.list(legacy, tensor({ view: 'N' }))))
      assert.deepEqual((await inspectCheckpoint(path)).skipped, [{ name: '0', type: '__main__.Net' }])
    })

    it('control characters in a name do not reach the message', async () => {
      await isUnsafe(zipFile(op.global('os.\x1b[31mred')), /"os\.\\u\{1b\}\[31mred"/)
    })
  })

  describe('objects among the tensors', () => {
    const object = (type: string, ...state: (Uint8Array | string)[]) =>
      Buffer.concat([
        op.global(type),
        op.tuple(),
        Buffer.from('\x81', 'latin1'),
        ...state.map(s => Buffer.from(s)),
      ])
    const bytes = (text: string) => op.call('_codecs.encode', op.str(text), op.str('latin1'))
    const dtype = (name: string, order: string) =>
      Buffer.concat([
        op.call('numpy.dtype', op.str(name)),
        op.tuple(op.int(3), op.str(order)),
        Buffer.from('b'),
      ])
    const beside = (value: Uint8Array) => zipFile(op.dict(op.str('w'), tensor(), op.str('x'), value))
    async function reads(value: Uint8Array) {
      writeFileSync(path, beside(value))
      const content = (await readCheckpoint(path)) as Map<string, unknown>
      const { skipped, tensors } = await inspectCheckpoint(path)
      assert.equal(tensors[0]?.name, 'w')
      return { value: content.get('x'), skipped: skipped.map(({ name, type }) => `${name}: ${type}`) }
    }

    it('are skipped and listed, and none of their code runs', async () => {
      const skips = async (value: Uint8Array, type: string) =>
        assert.deepEqual(await reads(value), { value: null, skipped: [`x: ${type}`] })
      await skips(object('argparse.Namespace', op.dict(op.str('lr'), 'N'), 'b'), 'argparse.Namespace')
      await skips(op.call('__main__.Color', op.int(1)), '__main__.Color')
      await skips(op.call('pathlib.PosixPath', op.str('a')), 'pathlib.PosixPath')
      await skips(op.call('datetime.datetime', bytes('x')), 'datetime.datetime')
      await skips(op.global('torch.nn.functional.relu'), 'torch.nn.functional.relu')
      await skips(
        op.call('copy_reg._reconstructor', op.global('conf.C'), op.global('__builtin__.object'), 'N'),
        'conf.C',
      )
      await skips(op.call('__builtin__.getattr', op.global('conf.Color'), op.str('RED')), 'conf.Color')
    })
    it('that subclass lists or dictionaries are replaced by their items', async () => {
      const dictionary = object('easydict.EasyDict', '(', op.str('a'), 'N', 'u')
      assert.deepEqual(await reads(dictionary), { value: new Map([['a', null]]), skipped: [] })
      const list = object('conf.List', '(', 'N', 'e')
      assert.deepEqual(await reads(list), { value: [null], skipped: [] })
      const missing = Buffer.concat([
        op.call('collections.defaultdict', op.global('__builtin__.list')),
        op.str('k'),
        Buffer.from('Ns'),
      ])
      assert.deepEqual(await reads(missing), { value: new Map([['k', null]]), skipped: [] })
    })
    it("that are NumPy's numbers and arrays are read", async () => {
      for (const module of ['numpy.core.multiarray', 'numpy._core.multiarray']) {
        const scalar = op.call(`${module}.scalar`, dtype('f8', '<'), bytes('\0\0\0\0\0\0\x0c@'))
        assert.deepEqual(await reads(scalar), { value: 3.5, skipped: [] })
        const big = op.call(`${module}.scalar`, dtype('i2', '>'), bytes('\x01\x02'))
        assert.deepEqual(await reads(big), { value: 0x102, skipped: [] })
        const array = (type: string, order: string, fortran: string) =>
          Buffer.concat([
            op.call(`${module}._reconstruct`, op.global('numpy.ndarray'), op.tuple(op.int(0)), bytes('b')),
            op.tuple(
              op.int(1),
              op.tuple(op.int(2), op.int(2)),
              dtype(type, order),
              fortran,
              bytes('\0\x01\0\x02\0\x03\0\x04'),
            ),
            Buffer.from('b'),
          ])
        assert.deepEqual(await reads(array('i2', '>', '\x89')), {
          value: { dtype: 'int16', shape: [2, 2], data: Int16Array.of(1, 2, 3, 4) },
          skipped: [],
        })
        assert.deepEqual(await reads(array('u2', '>', '\x88')), {
          value: { dtype: 'uint16', shape: [2, 2], data: Uint16Array.of(1, 3, 2, 4) },
          skipped: [],
        })
        assert.deepEqual(await reads(array('O', '|', '\x89')), { value: null, skipped: ['x: numpy.ndarray'] })
      }
      const text = op.call('numpy.core.multiarray.scalar', op.call('numpy.dtype', op.str('U3')), bytes('abc'))
      assert.deepEqual(await reads(text), { value: null, skipped: ['x: numpy.dtype'] })
    })
  })

  describe('pickles that grow', () => {
    it('by endless nesting', async () => {
      for (const text of [']'.repeat(200_000) + 'a'.repeat(199_999), `N${'\x85'.repeat(200_000)}`]) {
        await isCorrupt(zipFile(text), /nested deeper than 256/)
      }
      await isCorrupt(zipFile('('.repeat(200_000)), /unfinished value/)
    })
    it('by endless nesting in a dropped value', async () => {
      const deep = `${']'.repeat(200_000)}${'a'.repeat(199_999)}`
      const object = tensor({ view: 'N' })
      const bytes = legacyFile(object, undefined, op.dict(op.str('x'), deep))
      assert.deepEqual(await reads(bytes), { dtype: 'float32', shape: [4], data: new Float32Array(4) })
    })
    it('a list, or dictionary, in itself', async () => {
      await isCorrupt(
        zipFile(Buffer.concat([Buffer.from(']'), op.put(0), op.get(0), Buffer.from('a')])),
        /contains itself/,
      )
      const dict = Buffer.concat([Buffer.from('}'), op.put(0), op.str('x'), op.get(0), Buffer.from('s')])
      await isCorrupt(zipFile(dict), /contains itself/)
    })
    it('by lists that double', async () => {
      const doubled = Array.from({ length: 60 }, (_, i) => op.list(op.get(i), op.get(i), op.put(i + 1)))
      const bomb = Buffer.concat([
        op.list('N'),
        op.put(0),
        ...doubled.map((list, i) => Buffer.concat([list, op.put(i + 1)])),
      ])
      await isCorrupt(zipFile(bomb), /./)
    })
    it('by a long string that occurs many times', async () => {
      const many = op.list(op.str('x'.repeat(1 << 20)), op.put(0), ...Array(1000).fill(op.get(0)))
      await isCorrupt(zipFile(many), /many times the size/)
    })
    it('by a tensor that is larger than the file', async () => {
      writeFileSync(path, zipFile(tensor({ sizes: [1 << 20, 1 << 20], strides: [0, 0] })))
      assert.deepEqual((await inspectCheckpoint(path)).tensors[0]?.shape, [1 << 20, 1 << 20])
      await assert.rejects(readCheckpoint(path), { code: 'ERR_CHECKPOINT_CORRUPT', message: /MiB of memory/ })
    })
    it('by countless values', async () => {
      await isCorrupt(zipFile('N'.repeat(3_000_000)), /MiB of memory/)
      await isCorrupt(zipFile(']'.repeat(500_000)), /MiB of memory/)
    })
    it('by memo indexes out of range', async () => {
      await isCorrupt(zipFile(Buffer.concat([Buffer.from('N'), op.put(268_435_455)])), /memo index 268435455/)
      await isCorrupt(zipFile(op.get(7)), /memo index 7 is used before it was stored/)
    })
  })

  describe('tensors that reach outside', () => {
    const cases: [string, Parameters<typeof tensor>[0], RegExp][] = [
      ['a size', { sizes: [5] }, /reaches to element 4 of a storage of 4/],
      ['a stride', { sizes: [2], strides: [4] }, /reaches to element 4/],
      ['an offset', { offset: 1 }, /reaches to element 4/],
      ['an offset of an empty tensor', { offset: 5, sizes: [0] }, /of a storage of 4/],
      ['a negative offset', { offset: -1 }, /beyond any file/],
      ['a negative size', { sizes: [-1] }, /negative size or stride/],
      ['a negative stride', { strides: [-1] }, /negative size or stride/],
      [
        'sizes whose product overflows',
        { sizes: [2n ** 32n, 2n ** 32n], strides: [0, 0] },
        /beyond any file/,
      ],
      ['an extent that overflows', { sizes: [2n ** 62n], strides: [4] }, /beyond any file/],
      [
        'an overflow after a size of zero',
        { sizes: [0, 2n ** 40n, 2n ** 40n], strides: [1, 1, 1] },
        /beyond any file/,
      ],
      ['fewer strides than sizes', { sizes: [2, 2] }, /2 sizes and 1 strides/],
      ['65 dimensions', { sizes: Array(65).fill(1), strides: Array(65).fill(1) }, /wrong arguments/],
      [
        'a storage that is longer than its record',
        { numel: 5, sizes: [5] },
        /has 16 bytes, but its tensors need 20/,
      ],
      [
        'a storage that is shorter than its record',
        { numel: 3, sizes: [3] },
        /has 16 bytes, but its tensors need 12/,
      ],
      ['a storage whose size overflows', { numel: 2n ** 62n }, /beyond any file/],
      ['a storage of negative size', { numel: -4 }, /beyond any file/],
      ['a missing storage', { key: '1' }, /no record 'data\/1'/],
    ]
    for (const [name, parts, message] of cases) {
      it(name, () => isCorrupt(zipFile(tensor(parts)), message))
    }
    it('by one storage with two types', async () => {
      const two = op.list(tensor(), tensor({ type: 'IntStorage' }))
      await isCorrupt(zipFile(two), /named twice with different types/)
    })
    it('by a window outside its legacy storage', async () => {
      const view = op.tuple(op.str('1'), op.int(2), op.int(3))
      await isCorrupt(legacyFile(tensor({ view, sizes: [1] })), /a storage view reaches beyond/)
    })
    it('by bytes of one type used as another', async () => {
      const v3 = (type: string) =>
        op.call(
          'torch._utils._rebuild_tensor_v3',
          storage({ type: 'storage.UntypedStorage', numel: 16 }),
          op.int(0),
          op.tuple(op.int(2)),
          op.tuple(op.int(1)),
          '\x89',
          op.call('collections.OrderedDict'),
          op.global(`torch.${type}`),
        )
      assert.deepEqual(await reads(zipFile(v3('float64'))), {
        dtype: 'float64',
        shape: [2],
        data: new Float64Array(2),
      })
      assert.deepEqual(await reads(zipFile(v3('uint16'))), {
        dtype: 'uint16',
        shape: [2],
        data: new Uint16Array(2),
      })
    })
  })

  describe('structure', () => {
    const good = [
      { name: 'a/data.pkl', data: pickle(tensor()) },
      { name: 'a/data/0', data: new Uint8Array(16) },
      { name: 'a/version', data: '3\n' },
    ]
    const change = (index: number, changes: object) =>
      zip(good.map((e, i) => (i === index ? { ...e, ...changes } : e)))

    it('a key that occurs twice', async () => {
      await isCorrupt(zipFile(op.dict(op.str('w'), tensor(), op.str('w'), 'N')), /the key 'w' occurs twice/)
      await isCorrupt(zipFile(op.dict(op.list(), 'N')), /is the key of a dictionary/)
    })
    it('bytes after a pickle', () => isCorrupt(zipFile('N.N'), /bytes after its pickle/))

    it('zip records with names that point elsewhere', async () => {
      for (const name of [
        '/a/x',
        'a/../x',
        'a/./x',
        'a\\x',
        'a/x\0y',
        'a//x',
        'c:/x',
        '',
        'b/x',
        'x',
        'a/DATA/0',
      ]) {
        await isCorrupt(zip([...good, { name, data: '' }]), /record|folder/)
      }
    })
    it('zip records that are compressed, encrypted, links or inconsistent', async () => {
      await isCorrupt(change(1, { method: 8 }), /compressed/)
      await isCorrupt(change(1, { flags: 1 }), /encrypted/)
      await isCorrupt(change(1, { mode: 0o120777 }), /is not a regular file/)
      await isCorrupt(change(1, { mode: 0o040755 }), /is not a regular file/)
      await isCorrupt(change(1, { crc: 1 }), /checksum of record 'data\/0'/)
      await isCorrupt(change(1, { localName: 'a/data/1' }), /contradictory headers/)
      await isCorrupt(change(1, { offset: 0 }), /contradictory headers/)
      await isCorrupt(change(1, { offset: 7 }), /is not where the directory says/)
      await isCorrupt(change(1, { offset: 0xfffffff0 }), /outside the file/)
      await isCorrupt(change(2, { data: '99\n' }), /version is '99'/)
      await isCorrupt(change(2, { data: 'three' }), /version is 'three'/)
      await isCorrupt(zip(good, { count: 2 }), /holds more than it counts/)
      await isCorrupt(zip(good, { count: 4 }), /counts too many records/)
      await isCorrupt(zip(good, { comment: 'hello' }), /does not end with its directory/)
      await isCorrupt(zip([...good, good[1]!]), /two records/)
      await isCorrupt(Buffer.concat([zip(good), Buffer.from('x')]), /bytes after its end/)
      await isCorrupt(zip(good.slice(0, 2)), /no record 'version'/)
      await refuses(zip(good.slice(1)), 'ERR_CHECKPOINT_UNSUPPORTED', /without data\.pkl/)
    })

    it("legacy files whose storages do not match their tensors'", async () => {
      const object = tensor({ view: 'N' })
      const keys = (...names: string[]) => pickle(op.list(...names.map(op.str)))
      const data = new Uint8Array(16)
      await isCorrupt(legacyFile(object, keys()), /differs from the storages that its tensors use/)
      await isCorrupt(
        legacyFile(object, Buffer.concat([keys('1'), i64(4), data])),
        /lists a storage that no tensor uses/,
      )
      await isCorrupt(
        legacyFile(object, Buffer.concat([keys('0'), i64(3), data])),
        /does not have the number of elements/,
      )
      await isCorrupt(legacyFile(object, Buffer.concat([keys('0'), i64(4), data.slice(1)])), /ends after/)
      await isCorrupt(
        legacyFile(object, Buffer.concat([keys('0'), i64(4), data, data])),
        /bytes after its last storage/,
      )
      const two = op.list(object, tensor({ key: '1', view: 'N' }))
      const twice = Buffer.concat([keys('0', '0'), i64(4), data, i64(4), data])
      await isCorrupt(legacyFile(two, twice), /occurs twice/)
    })

    it('tar files with links, duplicate members and PAX headers that change a member', async () => {
      const info = { name: 'sys_info', data: pickle('}') }
      await isCorrupt(tar([info]), /no member 'storages'/)
      await isCorrupt(tar([info, info]), /two members named 'sys_info'/)
      for (const type of ['1', '2', '3', '5', 'L', 'S']) {
        await isCorrupt(tar([info, { name: 'storages', data: '', type }]), /is not a regular file/)
      }
      await isCorrupt(
        tar([{ name: 'pax', data: '12 size=100\n', type: 'x' }, info]),
        /changes a member's size/,
      )
      const damaged = tar([info])
      damaged[0]! ^= 1
      await isCorrupt(damaged, /damaged|first bytes belong to none/)
      const trailing = Buffer.concat([tar([info]), Buffer.from('x')])
      await isCorrupt(trailing, /bytes after its end/)
    })

    it('other kinds of files, which are named, with a remedy', async () => {
      await isCorrupt(Buffer.alloc(0), /is empty.*Download/)
      await isCorrupt(Buffer.from('<!DOCTYPE html><html>404'), /a web page.*Download/)
      await isCorrupt(Buffer.from('hello'), /a text file that begins with 'hello'; expected a \.pth file/)
      await isCorrupt(Buffer.from([1, 2, 3, 4]), /first bytes belong to none/)
      const foreign: [Buffer, RegExp][] = [
        [Buffer.from('1f8b0800', 'hex'), /a gzip file.*gunzip/],
        [Buffer.from('504b0506', 'hex'), /an empty zip file/],
        [Buffer.from('\x89HDF\r\n\x1a\n', 'latin1'), /an HDF5 file/],
        [Buffer.from('\x08\x07\x12\x07pytorch', 'latin1'), /an ONNX model/],
        [Buffer.from('\x08\x01\x12\xff\x01', 'latin1'), /a TensorFlow model/],
        [Buffer.from('\x1c\x00\x00\x00TFL3', 'latin1'), /a TensorFlow Lite model/],
        [Buffer.from('version https://git-lfs.github.com/spec/v1\noid'), /git lfs pull/],
        [pickle(op.call('__main__.Net')), /a bare pickle of a model or another object \(__main__\.Net\)/],
        [pickle(op.dict(op.str('w'), 'N')), /a bare pickle of Python's pickle\.dump/],
        [zip([{ name: 'weights/plain.pth', data: '' }]), /contains 'weights\/plain\.pth'.*Unpack/],
        [zip([{ name: 'a.npy', data: '' }]), /a NumPy archive/],
      ]
      for (const [bytes, message] of foreign) {
        await refuses(bytes, 'ERR_CHECKPOINT_UNSUPPORTED', message)
        await refuses(bytes, 'ERR_CHECKPOINT_UNSUPPORTED', /^(?!.*damaged)/)
      }
    })
  })

  describe(`of ../shared`, () => {
    before(function () {
      if (!hasShared) skip(this, NO_SHARED)
    })
    const sound = ['e_ok.pth', 'z_base.pth', 'z_byteorder_big.pth', 'z_dotver.pth']
    for (const file of hasShared ? readdirSync(shared('pth/hostile')) : []) {
      it(`${file} is ${sound.includes(file) ? 'read' : 'refused'}, without growing by more than 64 MB`, async () => {
        const before = process.resourceUsage().maxRSS
        const bytes = readFileSync(shared(`pth/hostile/${file}`))
        if (sound.includes(file)) await reads(bytes)
        else await isCorrupt(bytes, /./)
        const growth = (process.resourceUsage().maxRSS - before) / 1024
        assert.ok(growth <= 64, `grew by ${growth} MiB`)
      })
    }
  })
})
