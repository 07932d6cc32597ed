/** The platforms that visiontorch is built for, as Node names them. */
export const PLATFORMS: readonly string[] = ['linux-x64', 'linux-arm64', 'darwin-arm64']

/**
 * The version of glibc that this process runs on, 'unknown' if the runtime does not say or the system is not Linux; null
 * with another C library.
 */
export function glibcVersion(): string | null {
  if (process.report === undefined || process.platform !== 'linux') return 'unknown'
  const { header } = process.report.getReport() as { header?: { glibcVersionRuntime?: string } }
  return header?.glibcVersionRuntime ?? null
}

/**
 * Why visiontorch does not run on a platform, and what works instead; null if it is built for it.
 * @param os as `process.platform`
 * @param cpu as `process.arch`
 */
export function unsupported(os: string = process.platform, cpu: string = process.arch): string | null {
  if (PLATFORMS.includes(`${os}-${cpu}`)) return null
  const remedies: { [os: string]: string } = {
    win32: 'On Windows, run it in WSL 2, where it works as on Linux.',
    darwin:
      'There is no LibTorch for Macs with Intel processors. Run it in a container for Linux, such as node:22-slim.',
    linux: 'There is no LibTorch for this processor.',
  }
  return (
    `visiontorch is built for ${PLATFORMS.slice(0, -1).join(', ')} (with glibc) and ${PLATFORMS.at(-1)}, ` +
    `but this is ${os}-${cpu}. ` +
    (remedies[os] ?? 'Run it on Linux.')
  )
}

/** What to do if libraries cannot be loaded because the system's C library is not glibc; otherwise an empty text. */
export function muslAdvice(glibc: string | null = glibcVersion()): string {
  if (glibc !== null) return ''
  return (
    ' visiontorch needs glibc, but this system has another C library (musl, as in Alpine Linux), for which there is no ' +
    'LibTorch. Use an image with glibc, such as node:22-slim in place of node:22-alpine.'
  )
}
