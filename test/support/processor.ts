import { readFileSync } from 'node:fs'

const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' '))

/** Linux's names of the instructions that a set of kernels needs in addition to those of the previous set. */
const needed = { avx2: 'avx2', avx512: 'avx512vl', avx512_bf16: 'avx512_bf16' }

/** The same for bytes. */
const neededForBytes = { avx512_vnni: 'avx512_vnni', avx2_vnni: 'avx_vnni', avx2: 'avx2' }

export type KernelSet = keyof typeof needed
export type ByteKernelSet = keyof typeof neededForBytes

export const kernelSets = Object.keys(needed) as KernelSet[]

/** The tests of the kernels for bytes. */
export const int8KernelSets = ['int8_avx2', 'int8_avx_vnni', 'int8_avx512_vnni']
export const byteKernelSets = Object.keys(neededForBytes) as ByteKernelSet[]

/** Returns whether this processor can run that set of kernels. */
export const hasKernels = (set: KernelSet) => flags.has(needed[set])
export const hasByteKernels = (set: ByteKernelSet) => flags.has(neededForBytes[set])
