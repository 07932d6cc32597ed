/** Ends a script with a message that says what is wrong and what to do about it. */
export function fail(...lines: string[]): never {
  console.error(lines.join('\n'))
  process.exit(1)
}
