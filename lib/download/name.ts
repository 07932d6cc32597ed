/**
 * The last part of a URL's path as a file name. It has only letters, digits and `._+-`, and no leading dot, so it never
 * leads out of its folder.
 * @param fallback The name to use if nothing is left.
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
