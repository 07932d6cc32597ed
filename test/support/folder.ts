import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { toPath } from '../../lib/util/file-name.js'

/** Makes a temporary folder that is removed when the test ends, or the suite whose `before` called this. */
export async function temporaryFolder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'visiontorch-'))
  folders.push(path)
  return path
}

const folders: string[] = []

/** Call in an `afterEach` or `after`. */
export async function removeTemporaryFolders(): Promise<void> {
  for (const path of folders.splice(0)) await rm(path, { recursive: true, force: true })
}

/** Writes files below a folder. Names without content become empty files. */
export async function writeFiles(
  root: string,
  files: readonly string[] | Readonly<Record<string, string | Uint8Array>>,
): Promise<void> {
  const entries = Array.isArray(files) ? files.map(name => [name, ''] as const) : Object.entries(files)
  for (const [name, content] of entries) {
    await mkdir(toPath(dirname(join(root, name))), { recursive: true })
    await writeFile(toPath(join(root, name)), content)
  }
}

/** Makes a symbolic link below a folder, relative to it. */
export async function link(root: string, name: string, target: string): Promise<void> {
  await mkdir(dirname(join(root, name)), { recursive: true })
  await symlink(join(root, target), join(root, name))
}
