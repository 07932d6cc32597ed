import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'

const EM_X86_64 = 62
const EM_AARCH64 = 183

/**
 * What keeps a shared library from being loaded, or null. The dynamic linker maps a truncated file without complaint
 * and the process dies with SIGBUS at the first touch of a missing page, so the sizes are compared beforehand.
 */
export function checkLibrary(path: string, cpu: string = process.arch): string | null {
  if (!existsSync(path)) return 'is missing'
  const file = openSync(path, 'r')
  try {
    const { size } = fstatSync(file)
    const header = read(file, 0, 64)
    if (header.length < 64 || header.readUInt32BE(0) !== 0x7f454c46)
      return 'is not a shared library for Linux (ELF)'
    const machine = header.readUInt16LE(18)
    const expected = cpu === 'arm64' ? EM_AARCH64 : EM_X86_64
    if (header[4] !== 2 || header[5] !== 1 || machine !== expected)
      return `is for another processor (ELF machine ${machine}, expected ${expected})`
    const needed = Math.max(programEnd(file, header), sectionsEnd(header))
    if (needed > size) return `is truncated: ${size} of at least ${needed} bytes`
    return null
  } finally {
    closeSync(file)
  }
}

/** The end of the last segment that is mapped. */
function programEnd(file: number, header: Buffer): number {
  const offset = Number(header.readBigUInt64LE(32))
  const entry = header.readUInt16LE(54)
  const count = header.readUInt16LE(56)
  const table = read(file, offset, entry * count)
  let end = offset + entry * count
  for (let at = 0; at + 40 <= table.length; at += entry)
    end = Math.max(end, Number(table.readBigUInt64LE(at + 8) + table.readBigUInt64LE(at + 32)))
  return end
}

/** The section table is the last thing in a file that a linker wrote. */
function sectionsEnd(header: Buffer): number {
  return Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60)
}

function read(file: number, position: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  return buffer.subarray(0, readSync(file, buffer, 0, length, position))
}
