import { VisionTorchError } from '../errors.js'

type Sharp = typeof import('sharp').default

let loading: Promise<Sharp> | undefined

/**
 * sharp, loaded at the first call: its binaries come in optional packages, and where these were left out, that must be
 * an error of the call that decodes and not of `import 'visiontorch'`.
 */
export function loadSharp(): Promise<Sharp> {
  loading ??= load()
  return loading
}

async function load(): Promise<Sharp> {
  try {
    const { default: sharp } = await import('sharp')
    // One thread for each image, so that decoding never crowds out computing, and no cache of files seen once.
    sharp.concurrency(1)
    sharp.cache(false)
    return sharp
  } catch (cause) {
    throw new VisionTorchError(
      'ERR_ADDON_NOT_FOUND',
      `sharp, which decodes images, has no binary for ${process.platform}-${process.arch} here. ` +
        'Run: npm install --include=optional sharp',
      { cause },
    )
  }
}
