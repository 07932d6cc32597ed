// Runs clang-format on the C++ sources: `--check` fails if a file differs, `--write` fixes it. The binary comes from npm, so
// that everyone formats with the same version.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'

const files = ['native', 'test/native', 'test/fuzz'].flatMap(folder =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter(name => /\.(cc|h)$/.test(name))
    .map(name => join(folder, name)),
)
const mode = process.argv[2] === '--write' ? ['-i'] : ['--dry-run', '--Werror']
const result = spawnSync('node_modules/.bin/clang-format', [...mode, ...files], { stdio: 'inherit' })
process.exit(result.status ?? 1)
