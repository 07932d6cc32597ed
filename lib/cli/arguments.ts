import { readFileSync } from 'node:fs'
import { decodeName } from '../util/file-name.js'

/**
 * The arguments of the command. Node puts U+FFFD for bytes that are not UTF-8, with which no file could be opened; Linux
 * still has the bytes.
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
