import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import { VisionTorchError } from '../util/errors.js'

type Sharp = typeof import('sharp').default

let loaded: Sharp | undefined

/**
 * Loads sharp at the first call. Its binaries come in optional packages, and if they are missing, decoding must fail instead
 * of `import 'visiontorch'`. After a failure, the next call tries again.
 * @throws VisionTorchError `ERR_ADDON_NOT_FOUND`; `ERR_FILE_READ` if too many files are open.
 */
export function loadSharp(): Sharp {
  loaded ??= load()
  return loaded
}

function load(): Sharp {
  checkDescriptors()
  try {
    // import() is no option, because it remembers a failure forever. `require` is created here, because a CommonJS bundle has
    // no import.meta.url, and from a path, because webpack would follow a URL and stop at sharp's binary.
    const require = createRequire(fileURLToPath(import.meta.url))
    const sharp = require('sharp') as Sharp
    // Use one thread for each image, so that decoding never crowds out computing, and no cache, because files are read only once.
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

/**
 * Throws if file descriptors are used up. Node remembers a package.json that it could not open as missing, so an attempt
 * without descriptors would make all later ones fail.
 */
function checkDescriptors(): void {
  const held: number[] = []
  try {
    for (let i = 0; i < 8; i++) held.push(openSync(devNull, 'r'))
  } catch (cause) {
    throw new VisionTorchError(
      'ERR_FILE_READ',
      'sharp, which decodes images, cannot be loaded: too many files are open. Close some, or raise the limit (ulimit -n)',
      { cause },
    )
  } finally {
    for (const descriptor of held) closeSync(descriptor)
  }
}
