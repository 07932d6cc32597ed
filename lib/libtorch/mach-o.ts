import type { BinaryFile } from './binary-file.js'

const MH_MAGIC_64 = 0xfeedfacf
const CPU_TYPE_X86_64 = 0x01000007
const CPU_TYPE_ARM64 = 0x0100000c
const LC_SEGMENT_64 = 0x19
const HEADER = 32
/** The size limit of the load commands, which no library reaches. */
const MAX_COMMANDS = 1 << 20

/** The reason why a shared library for macOS cannot be loaded, or null. */
export function machOProblem(file: BinaryFile, cpu: string): string | null {
  const header = file.read(0, HEADER)
  if (header.length < HEADER || header.readUInt32LE(0) !== MH_MAGIC_64)
    return 'is not a shared library for macOS (Mach-O)'
  const type = header.readUInt32LE(4)
  const expected = cpu === 'arm64' ? CPU_TYPE_ARM64 : CPU_TYPE_X86_64
  if (type !== expected) return `is for another processor (Mach-O type ${type}, expected ${expected})`
  const commands = header.readUInt32LE(20)
  if (commands > MAX_COMMANDS) return 'is damaged: its load commands are too long'
  const needed = Math.max(HEADER + commands, segmentsEnd(file.read(HEADER, commands)))
  if (needed > file.size) return `is truncated: ${file.size} of at least ${needed} bytes`
  return null
}

/** The end of the last segment; the last one holds the symbols and the code's signature. */
function segmentsEnd(commands: Buffer): number {
  let end = 0
  for (let at = 0; at + 8 <= commands.length; ) {
    const size = commands.readUInt32LE(at + 4)
    if (size < 8) break
    if (commands.readUInt32LE(at) === LC_SEGMENT_64 && at + 56 <= commands.length)
      end = Math.max(end, Number(commands.readBigUInt64LE(at + 40) + commands.readBigUInt64LE(at + 48)))
    at += size
  }
  return end
}
