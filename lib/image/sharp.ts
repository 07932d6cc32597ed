import { closeSync, openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { devNull } from 'node:os'
import { fileURLToPath } from 'node:url'
import { VisionTorchError } from '../util/errors.js'

type Sharp = typeof import('sharp').default

let loaded: Sharp | undefined

/**
 * sharp, loaded by the first call: its binaries come in optional packages, and if they were not installed, the call that
 * decodes must fail, not `import 'visiontorch'`. A failed call is tried again by the next one.
 * @throws VisionTorchError `ERR_ADDON_NOT_FOUND`; `ERR_FILE_READ` if too many files are open.
 */
export function loadSharp(): Sharp {
  loaded ??= load()
  return loaded
}

function load(): Sharp {
  checkDescriptors()
  try {
    // Not import(), which remembers a failure forever. Created here, because a CommonJS bundle has no import.meta.url.
    // By path, as webpack would follow the URL and stop at sharp's binary.
    const require = createRequire(fileURLToPath(import.meta.url))
    const sharp = require('sharp') as Sharp
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

/** Node remembers a package.json that it could not open as missing, so that one try without descriptors spoils all later ones. */
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
