// A process that writes and reads everything that visiontorch can, once before a fault and once during it.
import { execFileSync } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { diskCache } from '../../lib/data/cache.js'
import { decode } from '../../lib/image/decode.js'
import { loadModel, setThreads, train, VisionTorchError, writeCheckpoint } from '../../lib/index.js'
import { replaceFile } from '../../lib/util/files.js'
import type { Outcome } from './namespace.js'
import { drawPhotos } from './photos.js'
import { smallNetwork } from './small-network.js'

const [fault, directory] = process.argv.slice(2) as [string, string]
const at = (name: string) => join(directory, name)
setThreads(1)
await drawPhotos(at('photos'), { train: 4, val: 2 })
const photo = at('photos/train/rows/0.png')
const model = await smallNetwork()
const data = new Float32Array(1 << 18)

const operations: Record<string, (round: number) => Promise<unknown>> = {
  writeCheckpoint: () => writeCheckpoint(at('tensor.pth'), { dtype: 'float32', shape: [data.length], data }),
  'Model.save': () => model.save(at('model.pth')),
  'Model.export': () => model.export(at('model.onnx'), { externalData: true }),
  replaceFile: () => replaceFile(at('labels.txt'), 'label\n'.repeat(50_000)),
  diskCache: round =>
    diskCache(
      async () => ({ ...(await decode(photo)) }),
      at('cache'),
    )({ path: round === 0 ? photo : at('photos/train/rows/1.png'), label: 0 }),
  train: async round => {
    const run = { data: at('photos'), directory: at('run'), epochs: round + 1, resume: round > 0 }
    await train(model, { ...run, batchSize: 4, inputSize: 32 })
  },
  loadModel: async () => (await loadModel(at('model.pth'))).dispose(),
  predict: () => model.predict(photo),
}

for (const operation of Object.values(operations)) await operation(0)

/** Every file below the directory, with its content. */
function files(folder = directory): Map<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    if (!path.endsWith('filler')) found.set(path, readFileSync(path))
  }
  return found
}

function fill(): void {
  const file = openSync(at('filler'), 'w')
  try {
    for (;;) writeFileSync(file, Buffer.alloc(4096))
  } catch {
    closeSync(file)
  }
}

const held: number[] = []
const faults: Record<string, { begin(): void; end(): void }> = {
  full: { begin: fill, end: () => rmSync(at('filler')) },
  'read-only': {
    begin: () => execFileSync('mount', ['-o', 'remount,ro', directory]),
    end: () => execFileSync('mount', ['-o', 'remount,rw', directory]),
  },
  descriptors: {
    begin() {
      try {
        for (;;) held.push(openSync('/dev/null', 'r'))
      } catch {}
    },
    end: () => held.splice(0).forEach(closeSync),
  },
}

const outcomes: Outcome[] = []
for (const [operation, run] of Object.entries(operations)) {
  const before = files()
  faults[fault]!.begin()
  let result = 'done'
  let message = ''
  try {
    await run(1)
  } catch (error) {
    result = error instanceof VisionTorchError ? error.code : String((error as Error).stack)
    message = (error as Error).message
  }
  faults[fault]!.end()
  const after = files()
  outcomes.push({
    operation,
    result,
    message,
    damaged: [...before.keys()].filter(path => !after.get(path)?.equals(before.get(path)!)),
    extra: [...after.keys()].filter(path => !before.has(path)),
  })
}
// Afterwards, everything works again.
for (const [operation, run] of Object.entries(operations)) {
  await run(2).catch(error =>
    outcomes.push({
      operation: `${operation} afterwards`,
      result: String(error.stack),
      message: '',
      damaged: [],
      extra: [],
    }),
  )
}
console.log(JSON.stringify(outcomes))
