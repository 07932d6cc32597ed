import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { removeLeftovers, temporaryPath } from '../util/files.js'
import { cacheDirectory, inspectInstallation, Refusal } from './installation.js'
import { type Platform, thisPlatform } from './library.js'

/**
 * Puts a LibTorch into the user's cache: `fill` writes it beside its place, then it is checked and renamed. Of two that
 * do so at once one wins and the other's copy is dropped; whoever is interrupted leaves no half of one.
 * @param name "2.13.0-cpu"
 * @param platform what it is for
 * @returns its directory
 */
export async function store(
  name: string,
  fill: (directory: string) => Promise<void>,
  platform: Platform = thisPlatform,
): Promise<string> {
  const cache = cacheDirectory()
  await mkdir(cache, { recursive: true })
  const place = join(cache, name)
  await removeLeftovers(cache)
  const temporary = temporaryPath(cache)
  await mkdir(temporary)
  try {
    await fill(temporary)
    inspectInstallation(temporary, name.split('-')[0]!, platform)
    await rename(temporary, place).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    })
    return place
  } catch (cause) {
    if (!(cause instanceof Refusal)) throw cause
    const code = cause.reason === 'version' ? 'ERR_LIBTORCH_VERSION' : 'ERR_LIBTORCH'
    throw new VisionTorchError(code, `what was meant to be LibTorch ${name} ${cause.message}`, { cause })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

/** Takes a LibTorch out of the user's cache. */
export async function unstore(name: string): Promise<void> {
  // Out of the loader's sight at once, whatever happens to the deletion.
  const removed = temporaryPath(cacheDirectory())
  await rename(join(cacheDirectory(), name), removed)
  await rm(removed, { recursive: true })
}
