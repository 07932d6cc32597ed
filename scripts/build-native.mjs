// Builds the addon with CMake against LibTorch: build/Release/visiontorch.node.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const libtorch =
  process.env.VISIONTORCH_LIBTORCH ??
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'visiontorch/libtorch/2.13.0-cpu')
if (!existsSync(libtorch)) throw new Error(`no LibTorch at ${libtorch}`)
const result = spawnSync(
  'node_modules/.bin/cmake-js',
  ['compile', `--CDLIBTORCH=${libtorch}`, '--parallel', '2'],
  {
    stdio: 'inherit',
  },
)
process.exit(result.status ?? 1)
