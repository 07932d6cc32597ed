import { mkdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { VisionTorchError } from '../util/errors.js'
import { removeLeftovers, temporaryPath } from '../util/files.js'
import { cacheDirectory, inspectInstallation, Refusal } from './installation.js'
import { type Platform, thisPlatform } from './library.js'

/**
 * Puts a build of LibTorch into the user's cache. `fill` writes it to a temporary directory, which is then checked and
 * renamed. If two processes do so at the same time, one wins and the other's copy is deleted; an interrupted process
 * leaves no incomplete build.
 * @param name The version and variant: "2.13.0-cpu".
 * @param platform The platform of the build.
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
    throw new VisionTorchError(code, `this build of LibTorch ${name} cannot be used: it ${cause.message}`, {
      cause,
    })
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

/** Removes a build of LibTorch from the user's cache. */
export async function unstore(name: string): Promise<void> {
  // Rename it first, so that the loader no longer finds it even if the deletion fails.
  const removed = temporaryPath(cacheDirectory())
  await rename(join(cacheDirectory(), name), removed)
  await rm(removed, { recursive: true })
}
