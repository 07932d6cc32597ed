// A process that repeatedly replaces files, each with one of two contents, until it is killed.
import { join } from 'node:path'
import { diskCache } from '../../lib/data/cache.js'
import { writeCheckpoint } from '../../lib/index.js'
import { replaceFile } from '../../lib/util/files.js'
import { smallNetwork } from './small-network.js'

const directory = process.argv[2]!
const at = (name: string) => join(directory, name)
const models = await Promise.all([1, 2].map(seed => smallNetwork({ seed })))
const decode = diskCache(
  async () => ({ data: new Uint8Array(3_000_000), width: 1000, height: 1000, channels: 3 }),
  at('cache'),
)
console.log('ready')
for (let i = 0; ; i++) {
  const size = 1000 + (i % 2) * 500_000
  await Promise.all([
    replaceFile(at('metrics.csv'), `${String(i % 2).repeat(size)}\n`),
    writeCheckpoint(at('tensor.pth'), { dtype: 'uint8', shape: [size], data: new Uint8Array(size).fill(i) }),
    models[i % 2]!.save(at('model.pth')),
    decode({ path: `${i}.png`, label: 0 }),
  ])
}
