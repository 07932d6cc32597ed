import { isUtf8 } from 'node:buffer'

// Names of files and folders are bytes that need not be UTF-8. Here they are strings, as in Python (PEP 383,
// "surrogateescape"): each byte that is not part of UTF-8 text becomes a lone surrogate, such as U+DCDF for 0xdf. No
// other name yields such a string, so every string can be converted back to its bytes.

/** The string for the bytes of a name or a path. */
export function decodeName(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString()
  let name = ''
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find(n => at + n <= bytes.length && isUtf8(bytes.subarray(at, at + n)))
    name +=
      length === undefined
        ? String.fromCharCode(0xdc00 + bytes[at]!)
        : Buffer.from(bytes.subarray(at, at + length)).toString()
    at += length ?? 1
  }
  return name
}

/** The bytes of a string that {@link decodeName} returned. */
export function encodeName(name: string): Buffer {
  const parts = name.split(/([\udc80-\udcff])/u) // with `u`, the halves of a pair do not match
  return Buffer.concat(
    parts.map((part, i) => (i % 2 === 0 ? Buffer.from(part) : Buffer.of(part.charCodeAt(0) - 0xdc00))),
  )
}

/** A path for the functions of `node:fs`, which encode strings as UTF-8, but leave buffers alone. */
export const toPath = (path: string): string | Buffer =>
  /[\udc80-\udcff]/u.test(path) ? encodeName(path) : path

/** Writes lone surrogates as `\u{dcdf}`, for text that must be Unicode: a terminal, or a file of class names. */
export const escapeName = (text: string): string =>
  text.replace(/\p{Cs}/gu, surrogate => `\\u{${surrogate.charCodeAt(0).toString(16)}}`)

/** Reads what {@link escapeName} wrote. */
export const unescapeName = (text: string): string =>
  text.replace(/\\u\{(dc[89a-f][0-9a-f])\}/g, (_, code) => String.fromCharCode(Number.parseInt(code, 16)))
