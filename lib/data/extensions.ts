import { extname } from 'node:path'

/** The file name extensions of images, in lower case. */
export const imageExtensions: ReadonlySet<string> = new Set(
  ['jpg', 'jpeg', 'jfif', 'png', 'webp', 'avif', 'gif', 'tif', 'tiff', 'bmp', 'ppm', 'pgm', 'pbm'].map(
    extension => `.${extension}`,
  ),
)

/** Whether a file name has the extension of an image. */
export const hasImageExtension = (path: string): boolean => imageExtensions.has(extname(path).toLowerCase())
