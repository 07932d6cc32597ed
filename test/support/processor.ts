import { readFileSync } from 'node:fs'

const flags = new Set(/^flags\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1]?.split(' '))

/** What Linux calls the instructions that a set of kernels needs beyond those of the set before it. */
const needed = { avx2: 'avx2', avx512: 'avx512vl', avx512_bf16: 'avx512_bf16' }

export type KernelSet = keyof typeof needed

export const kernelSets = Object.keys(needed) as KernelSet[]

/** The sets of kernels for bytes. */
export const int8KernelSets = ['int8_avx2', 'int8_avx_vnni', 'int8_avx512_vnni']

/** Whether this processor can run that set of the kernels. */
export const hasKernels = (set: KernelSet) => flags.has(needed[set])
