import type { BinaryFile } from './binary-file.js'

const EM_X86_64 = 62
const EM_AARCH64 = 183

/** The reason why a shared library for Linux cannot be loaded, or null. */
export function elfProblem(file: BinaryFile, cpu: string): string | null {
  const header = file.read(0, 64)
  if (header.length < 64 || header.readUInt32BE(0) !== 0x7f454c46)
    return 'is not a shared library for Linux (ELF)'
  const machine = header.readUInt16LE(18)
  const expected = cpu === 'arm64' ? EM_AARCH64 : EM_X86_64
  if (header[4] !== 2 || header[5] !== 1 || machine !== expected)
    return `is for another processor (ELF machine ${machine}, expected ${expected})`
  const needed = Math.max(programEnd(file, header), sectionsEnd(header))
  if (needed > file.size) return `is truncated: ${file.size} of at least ${needed} bytes`
  return null
}

/** The end of the last segment that is mapped. */
function programEnd(file: BinaryFile, header: Buffer): number {
  const offset = Number(header.readBigUInt64LE(32))
  const entry = header.readUInt16LE(54)
  const count = header.readUInt16LE(56)
  const table = file.read(offset, entry * count)
  let end = offset + entry * count
  for (let at = 0; at + 40 <= table.length; at += entry)
    end = Math.max(end, Number(table.readBigUInt64LE(at + 8) + table.readBigUInt64LE(at + 32)))
  return end
}

/** The end of the section table, which linkers write last. */
function sectionsEnd(header: Buffer): number {
  return Number(header.readBigUInt64LE(40)) + header.readUInt16LE(58) * header.readUInt16LE(60)
}
