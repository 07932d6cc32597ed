// The files of shared libraries: their names, and checks that do not load them.
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import type { BinaryFile } from './binary-file.js'
import { elfProblem } from './elf.js'
import { machOProblem } from './mach-o.js'

/** The platform of libraries: `process.platform` and `process.arch`. */
export interface Platform {
  os: string
  cpu: string
}

export const thisPlatform: Platform = { os: process.platform, cpu: process.arch }

/** "libc10.so", "libc10.dylib" */
export const libraryName = (name: string, { os }: Platform = thisPlatform): string =>
  `lib${name}.${os === 'darwin' ? 'dylib' : 'so'}`

/**
 * The reason why a shared library cannot be loaded, or null. The dynamic linker maps a truncated file without complaint,
 * and the process dies with SIGBUS at the first access to a missing page, so this compares the sizes beforehand.
 */
export function checkLibrary(path: string, { os, cpu }: Platform = thisPlatform): string | null {
  if (!existsSync(path)) return 'is missing'
  const descriptor = openSync(path, 'r')
  try {
    const file: BinaryFile = {
      size: fstatSync(descriptor).size,
      read(position, length) {
        const buffer = Buffer.alloc(length)
        return buffer.subarray(0, readSync(descriptor, buffer, 0, length, position))
      },
    }
    return os === 'darwin' ? machOProblem(file, cpu) : elfProblem(file, cpu)
  } finally {
    closeSync(descriptor)
  }
}
