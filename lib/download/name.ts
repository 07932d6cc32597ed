/**
 * The last part of an address's path as a file name: of letters, digits and `._+-` alone, without a leading dot, so that it
 * never leads out of its folder.
 * @param fallback if nothing is left.
 */
export function safeName(pathname: string, fallback: string): string {
  const last = pathname.slice(pathname.lastIndexOf('/') + 1).replace(/%2B/gi, '+')
  return (
    last
      .replace(/[^\w.+-]/g, '_')
      .replace(/^\.+/, '')
      .slice(-200) || fallback
  )
}
