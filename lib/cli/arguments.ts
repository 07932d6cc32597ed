import { readFileSync } from 'node:fs'
import { decodeName } from '../util/file-name.js'

/**
 * The arguments of the command. Node replaces bytes that are not UTF-8 by U+FFFD, and could then not open a file of that
 * name; on Linux, the original bytes can still be read.
 */
export function commandArguments(): string[] {
  const given = process.argv.slice(2)
  if (!given.some(argument => argument.includes('\ufffd'))) return given
  try {
    const all = readFileSync('/proc/self/cmdline', 'latin1').split('\0').slice(0, -1)
    return all.slice(-given.length).map(argument => decodeName(Buffer.from(argument, 'latin1')))
  } catch {
    return given
  }
}
