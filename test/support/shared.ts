import { existsSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../../../shared')

/** Whether the folder of real images and checkpoints is next to the repository. If not, tests are skipped. */
export const hasShared = existsSync(root)

/** The reason to skip such a test. */
export const NO_SHARED = 'the shared images and checkpoints are not next to the repository'

/** Returns a path in that folder. */
export const shared = (path: string): string => join(root, path)
