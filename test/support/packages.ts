import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'

const directory = 'dist-packages'

/** The Node that runs the installed packages: this one, or one for Arm in an emulator (scripts/test-arm64.ts). */
export const node = process.env.VISIONTORCH_TEST_NODE || process.execPath

/** The platform of that Node: "linux-x64". */
export const platform =
  node === process.execPath
    ? `${process.platform}-${process.arch}`
    : execFileSync(node, ['-p', "process.platform + '-' + process.arch"], { encoding: 'utf8' }).trim()

/** The tarballs that `npm run package` builds: visiontorch, and LibTorch for each platform. */
export const tarballs = existsSync(directory)
  ? readdirSync(directory)
      .filter(name => name.endsWith('.tgz'))
      .map(name => join(directory, name))
  : []

/** Those of them that install on that platform: npm refuses a tarball for another one. */
export const installable = tarballs.filter(
  name => !name.includes('visiontorch-libtorch-') || name.includes(`visiontorch-libtorch-${platform}-`),
)

/** The reason to skip the tests of installed packages, or ''. */
export const unavailable = installable.length > 1 ? '' : '`npm run package` has not built the packages'
