// The files of shared libraries: their names, and what can be told of them without loading them.
import { closeSync, existsSync, fstatSync, openSync, readSync } from 'node:fs'
import type { BinaryFile } from './binary-file.js'
import { elfProblem } from './elf.js'
import { machOProblem } from './mach-o.js'

/** What libraries are for: `process.platform` and `process.arch`. */
export interface Platform {
  os: string
  cpu: string
}

export const thisPlatform: Platform = { os: process.platform, cpu: process.arch }

/** "libc10.so", "libc10.dylib" */
export const libraryName = (name: string, { os }: Platform = thisPlatform): string =>
  `lib${name}.${os === 'darwin' ? 'dylib' : 'so'}`

/**
 * What keeps a shared library from being loaded, or null. The dynamic linker maps a truncated file without complaint
 * and the process dies with SIGBUS at the first touch of a missing page, so the sizes are compared beforehand.
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
