import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../../../shared')

/** Whether the folder of real images and checkpoints lies beside the repository. Tests skip where it does not. */
export const hasShared = existsSync(root)

/** Why such a test skips. */
export const NO_SHARED = 'the shared images and checkpoints are not beside the repository'

/** A path in that folder. */
export const shared = (path: string): string => join(root, path)
