import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspectCheckpoint, readCheckpoint } from '../../lib/index.js'
import { native } from '../../lib/native.js'
import { i64, legacyFile, op, pickle, storage, tar, tensor, zip, zipFile } from '../support/pth.js'
import { hasShared, NO_SHARED, shared } from '../support/shared.js'
import { skip } from '../support/skip.js'

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

  it('the builders of these tests write files that are read', async () => {
    for (const bytes of [zipFile(tensor()), legacyFile(tensor({ view: 'N' }))]) {
      assert.deepEqual(await reads(bytes), { dtype: 'float32', shape: [4], data: new Float32Array(4) })
    }
  })

  describe('code', () => {
    const system = op.call('posix.system', op.str('echo gotcha'))
    const position = /"posix\.system" at byte 2 of data\.pkl/

    it('is never run: a global is refused by name and place', async () => {
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
      '__builtin__.getattr',
      'torch.load',
      'torch._utils._rebuild_tensor_v2 ',
      'torch.storage._load_from_bytes',
      'collections.OrderedDict.fromkeys',
      'torch.FloatStorage.from_file',
      'torch.hub.load',
      'functools.partial',
      '__main__.Net',
      'numpy.core.multiarray.scalar',
    ]) {
      it(`${name} is refused`, () => isUnsafe(zipFile(op.global(name)), /which loading in Python would run/))
    }

    // POP, POP_MARK, DUP, INST, OBJ, the EXT registry, protocol 0, and what came with protocols 3 to 5.
    for (const opcode of ['0', '1', '2', 'i', 'o', 'd', 'l', 'F', 'S', 'V', 'P', 'p', 'g', 'B', 'C']) {
      it(`opcode ${opcode} is refused`, () => isUnsafe(zipFile(`N${opcode}`), /the opcode 0x\w\w at byte 3/))
    }
    for (const opcode of [0x82, 0x83, 0x84, 0x8b, 0x8d, 0x8e, 0x90, 0x91, 0x92, 0x96, 0x97, 0x98]) {
      it(`opcode 0x${opcode.toString(16)} is refused`, () =>
        isUnsafe(zipFile(Buffer.from([0x4e, opcode])), /the opcode 0x\w\w at byte 3/))
    }

    it('an allowed function takes only what it takes in a checkpoint', async () => {
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
        /a call of what is no function/,
      )
    })

    it('a whole model, and attributes of objects, are refused with advice', async () => {
      const module = Buffer.concat([
        op.tuple(op.str('module'), 'N', op.str('net.py'), op.str('class Net')),
        Buffer.from('Q'),
      ])
      await refuses(legacyFile(module), 'ERR_CHECKPOINT_UNSUPPORTED', /model\.state_dict\(\)/)
      const build = Buffer.concat([
        op.call('collections.OrderedDict'),
        op.dict(op.str('__class__'), 'N'),
        Buffer.from('b'),
      ])
      await refuses(zipFile(build), 'ERR_CHECKPOINT_UNSUPPORTED', /sets the attributes of an object/)
    })

    it('control characters of a name do not reach the message', async () => {
      await isUnsafe(zipFile(op.global('os.\x1b[31mred')), /"os\.\\u\{1b\}\[31mred"/)
    })
  })

  describe('pickles that grow', () => {
    it('nesting without end', async () => {
      for (const text of [']'.repeat(200_000) + 'a'.repeat(199_999), `N${'\x85'.repeat(200_000)}`]) {
        await isCorrupt(zipFile(text), /nested deeper than 256/)
      }
      await isCorrupt(zipFile('('.repeat(200_000)), /unfinished value/)
    })
    it('nesting without end in what is dropped', async () => {
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
    it('lists that double', async () => {
      const doubled = Array.from({ length: 60 }, (_, i) => op.list(op.get(i), op.get(i), op.put(i + 1)))
      const bomb = Buffer.concat([
        op.list('N'),
        op.put(0),
        ...doubled.map((list, i) => Buffer.concat([list, op.put(i + 1)])),
      ])
      await isCorrupt(zipFile(bomb), /./)
    })
    it('a long string, or a tensor, many times', async () => {
      const many = (item: Uint8Array, n: number) =>
        op.list(item, op.put(0), ...Array.from({ length: n }, () => op.get(0)))
      await isCorrupt(zipFile(many(op.str('x'.repeat(1 << 20)), 1000)), /many times the size/)
      await isCorrupt(zipFile(many(tensor({ sizes: [1 << 20], strides: [0] }), 1000)), /many times the size/)
      await isCorrupt(zipFile(tensor({ sizes: [1 << 20, 1 << 20], strides: [0, 0] })), /many times the size/)
    })
    it('values without number', async () => {
      await isCorrupt(zipFile('N'.repeat(3_000_000)), /more than 2000000 values/)
      await isCorrupt(zipFile(']'.repeat(500_000)), /more than 400000 lists/)
    })
    it('memo indexes out of range', async () => {
      await isCorrupt(zipFile(Buffer.concat([Buffer.from('N'), op.put(268_435_455)])), /memo index 268435455/)
      await isCorrupt(zipFile(op.get(7)), /memo index 7 was not stored/)
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
        'an overflow behind a size of zero',
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
      ['a storage that is not there', { key: '1' }, /no record 'data\/1'/],
    ]
    for (const [name, parts, message] of cases) {
      it(name, () => isCorrupt(zipFile(tensor(parts)), message))
    }
    it('one storage under two types', async () => {
      const two = op.list(tensor(), tensor({ type: 'IntStorage' }))
      await isCorrupt(zipFile(two), /named twice with another type/)
    })
    it('a window outside its legacy storage', async () => {
      const view = op.tuple(op.str('1'), op.int(2), op.int(3))
      await isCorrupt(legacyFile(tensor({ view, sizes: [1] })), /a storage view reaches beyond/)
    })
    it('bytes of one type as another', async () => {
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
      await refuses(zipFile(v3('float8_e4m3fn')), 'ERR_CHECKPOINT_UNSUPPORTED', /tensors of this type/)
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

    it('a key that stands twice', async () => {
      await isCorrupt(zipFile(op.dict(op.str('w'), tensor(), op.str('w'), 'N')), /the key 'w' stands twice/)
      await isCorrupt(zipFile(op.dict(op.list(), 'N')), /is the key of a dictionary/)
    })
    it('bytes after a pickle', () => isCorrupt(zipFile('N.N'), /bytes after its pickle/))

    it('zip records with names that lead elsewhere', async () => {
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
    it('zip records that are compressed, encrypted, links, or lie about themselves', async () => {
      await isCorrupt(change(1, { method: 8 }), /compressed/)
      await isCorrupt(change(1, { flags: 1 }), /encrypted/)
      await isCorrupt(change(1, { mode: 0o120777 }), /no plain file/)
      await isCorrupt(change(1, { mode: 0o040755 }), /no plain file/)
      await isCorrupt(change(1, { crc: 1 }), /checksum of record 'data\/0'/)
      await isCorrupt(change(1, { localName: 'a/data/1' }), /two headers that differ/)
      await isCorrupt(change(1, { offset: 0 }), /differ/)
      await isCorrupt(change(1, { offset: 7 }), /is not where the directory says/)
      await isCorrupt(change(1, { offset: 0xfffffff0 }), /outside the file/)
      await isCorrupt(change(2, { data: '99\n' }), /version is '99'/)
      await isCorrupt(change(2, { data: 'three' }), /version is 'three'/)
      await isCorrupt(zip(good, { count: 2 }), /holds more than it counts/)
      await isCorrupt(zip(good, { count: 4 }), /ends after/)
      await isCorrupt(zip(good, { comment: 'hello' }), /does not end with its directory/)
      await isCorrupt(zip([...good, good[1]!]), /two records/)
      await isCorrupt(zip([]), /first bytes are of none/)
      await isCorrupt(Buffer.concat([zip(good), Buffer.from('x')]), /bytes after its end/)
      await isCorrupt(zip(good.slice(0, 2)), /no record 'version'/)
      await isCorrupt(zip(good.slice(1)), /no data\.pkl/)
    })

    it('legacy files whose storages are not those of their tensors', async () => {
      const object = tensor({ view: 'N' })
      const keys = (...names: string[]) => pickle(op.list(...names.map(op.str)))
      const data = new Uint8Array(16)
      await isCorrupt(legacyFile(object, keys()), /is not the storages that its tensors use/)
      await isCorrupt(
        legacyFile(object, Buffer.concat([keys('1'), i64(4), data])),
        /lists a storage that no tensor uses/,
      )
      await isCorrupt(
        legacyFile(object, Buffer.concat([keys('0'), i64(3), data])),
        /another number of elements/,
      )
      await isCorrupt(legacyFile(object, Buffer.concat([keys('0'), i64(4), data.slice(1)])), /ends after/)
      await isCorrupt(
        legacyFile(object, Buffer.concat([keys('0'), i64(4), data, data])),
        /bytes after its last storage/,
      )
      const two = op.list(object, tensor({ key: '1', view: 'N' }))
      const twice = Buffer.concat([keys('0', '0'), i64(4), data, i64(4), data])
      await isCorrupt(legacyFile(two, twice), /stands twice/)
    })

    it('tar files with links, doubled members and PAX headers that change a member', async () => {
      const info = { name: 'sys_info', data: pickle('}') }
      await isCorrupt(tar([info]), /no member 'storages'/)
      await isCorrupt(tar([info, info]), /two members with the name 'sys_info'/)
      for (const type of ['1', '2', '3', '5', 'L', 'S']) {
        await isCorrupt(tar([info, { name: 'storages', data: '', type }]), /no plain file/)
      }
      await isCorrupt(
        tar([{ name: 'pax', data: '12 size=100\n', type: 'x' }, info]),
        /changes a member's size/,
      )
      const damaged = tar([info])
      damaged[0]! ^= 1
      await isCorrupt(damaged, /damaged|first bytes are of none/)
      const trailing = Buffer.concat([tar([info]), Buffer.from('x')])
      await isCorrupt(trailing, /bytes after its end/)
    })

    it('what is no checkpoint at all is named', async () => {
      await isCorrupt(Buffer.alloc(0), /is empty/)
      await isCorrupt(Buffer.from('<!DOCTYPE html><html>404'), /a web page/)
      await isCorrupt(Buffer.from('version https://git-lfs.github.com/spec/v1\noid'), /git lfs pull/)
      await isCorrupt(Buffer.from('hello'), /expected a \.pth file/)
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
