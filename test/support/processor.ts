import { readFileSync } from 'node:fs'

const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' '))

/** Linux's names of the instructions that a set of kernels needs in addition to those of the previous set. */
const needed = { avx2: 'avx2', avx512: 'avx512vl', avx512_bf16: 'avx512_bf16' }

export type KernelSet = keyof typeof needed

export const kernelSets = Object.keys(needed) as KernelSet[]

/** The sets of kernels for bytes. */
export const int8KernelSets = ['int8_avx2', 'int8_avx_vnni', 'int8_avx512_vnni']

/** Returns whether this processor can run that set of kernels. */
export const hasKernels = (set: KernelSet) => flags.has(needed[set])
