import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const directory = 'dist-packages'

/** The tarballs that `npm run package` builds: visiontorch and LibTorch. */
export const tarballs = existsSync(directory)
  ? readdirSync(directory)
      .filter(name => name.endsWith('.tgz'))
      .map(name => join(directory, name))
  : []

/** The reason to skip the tests of installed packages, or ''. */
export const unavailable = tarballs.length === 2 ? '' : '`npm run package` has not built the packages'
