import { crc32 } from 'node:zlib'

// Writes pickles and containers byte by byte, for files that Python would not write.

type Part = Uint8Array | string

const concat = (...parts: Part[]): Buffer =>
  Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part)))

export const u16 = (value: number): Buffer => Buffer.from(Uint16Array.of(value).buffer)
export const u32 = (value: number): Buffer => Buffer.from(Uint32Array.of(value).buffer)
export const i64 = (value: number | bigint): Buffer => Buffer.from(BigInt64Array.of(BigInt(value)).buffer)

/** Opcodes of Python's pickle, with their names in pickletools. */
export const op = {
  global: (name: string): Buffer => concat('c', name.replace(/\.([^.]*)$/, '\n$1'), '\n'),
  str: (text: string): Buffer => concat('X', u32(Buffer.byteLength(text)), Buffer.from(text)),
  int: (value: number | bigint): Buffer => concat('\x8a\x08', i64(value)),
  tuple: (...items: Part[]): Buffer => concat('(', ...items, 't'),
  list: (...items: Part[]): Buffer => concat('](', ...items, 'e'),
  /** Alternating keys and values. */
  dict: (...items: Part[]): Buffer => concat('}(', ...items, 'u'),
  call: (name: string, ...args: Part[]): Buffer => concat(op.global(name), op.tuple(...args), 'R'),
  put: (index: number): Buffer => concat('r', u32(index)),
  get: (index: number): Buffer => concat('j', u32(index)),
}

export const pickle = (...parts: Part[]): Buffer => concat('\x80\x02', ...parts, '.')

export interface TensorParts {
  key?: string
  type?: string
  numel?: number | bigint
  offset?: number | bigint
  sizes?: (number | bigint)[]
  strides?: (number | bigint)[]
  /** The part of the persistent id after the location: the view in a legacy file. */
  view?: Part
}

export const storage = ({
  key = '0',
  type = 'FloatStorage',
  numel = 4,
  view = '',
}: TensorParts = {}): Buffer =>
  concat(
    op.tuple(op.str('storage'), op.global(`torch.${type}`), op.str(key), op.str('cpu'), op.int(numel), view),
    'Q',
  )

/** A tensor of four floats in storage '0', unless the options differ. */
export function tensor({ offset = 0, sizes = [4], strides = [1], ...rest }: TensorParts = {}): Buffer {
  const ints = (values: (number | bigint)[]) => op.tuple(...values.map(op.int))
  const hooks = op.call('collections.OrderedDict')
  return op.call(
    'torch._utils._rebuild_tensor_v2',
    storage(rest),
    op.int(offset),
    ints(sizes),
    ints(strides),
    '\x89',
    hooks,
  )
}

export interface ZipEntry {
  name: string
  data: Part
  /** Header fields that differ from the truth. */
  crc?: number
  method?: number
  flags?: number
  mode?: number
  offset?: number
  localName?: string
}

export function zip(entries: ZipEntry[], { comment = '', count = entries.length } = {}): Buffer {
  const locals: Buffer[] = []
  const centrals: Buffer[] = []
  let offset = 0
  for (const {
    name,
    data,
    crc,
    method = 0,
    flags = 0,
    mode = 0o100644,
    localName = name,
    ...entry
  } of entries) {
    const body = concat(data)
    const fields = concat(
      u16(flags),
      u16(method),
      u32(0),
      u32(crc ?? crc32(body)),
      u32(body.length),
      u32(body.length),
    )
    const local = concat('PK\x03\x04', u16(20), fields, u16(localName.length), u16(0), localName, body)
    centrals.push(
      concat('PK\x01\x02', u16(20), u16(20), fields, u16(name.length), u16(0), u16(0), u16(0), u16(0)),
      concat(u32(mode * 65536), u32(entry.offset ?? offset), name),
    )
    locals.push(local)
    offset += local.length
  }
  const central = concat(...centrals)
  const end = concat('PK\x05\x06', u32(0), u16(count), u16(count), u32(central.length), u32(offset))
  return concat(...locals, central, end, u16(comment.length), comment)
}

/** Makes a zip file like torch.save's, with this object and one storage of four floats. */
export const zipFile = (object: Part, more: ZipEntry[] = []): Buffer =>
  zip([
    { name: 'a/data.pkl', data: pickle(object) },
    { name: 'a/data/0', data: new Uint8Array(16) },
    { name: 'a/version', data: '3\n' },
    ...more,
  ])

/** Makes a legacy file with this object. `rest` is everything after it; `info` describes the system. */
export const legacyFile = (
  object: Part,
  rest: Part = concat(pickle(op.list(op.str('0'))), i64(4), new Uint8Array(16)),
  info: Part = '}',
): Buffer =>
  concat(
    pickle('\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19'),
    pickle(op.int(1001)),
    pickle(info),
    pickle(object),
    rest,
  )

export interface TarMember {
  name: string
  data: Part
  type?: string
}

export function tar(members: TarMember[]): Buffer {
  const blocks = members.map(({ name, data, type = '0' }) => {
    const body = concat(data)
    const header = Buffer.alloc(512)
    header.write(name, 0)
    header.write(body.length.toString(8).padStart(11, '0'), 124)
    header.write('        ', 148)
    header.write(type, 156)
    header.write('ustar\x0000', 257)
    const sum = header.reduce((total, byte) => total + byte, 0)
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    return concat(header, body, new Uint8Array((512 - (body.length % 512)) % 512))
  })
  return concat(...blocks, new Uint8Array(1024))
}
