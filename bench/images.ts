// Decoding and preprocessing beside Pillow and torchvision, on one thread: processor time per image, the best of many
// rounds, so that a busy machine disturbs it little.
//
//   VISIONTORCH_TEST_PYTHON=$(npm run --silent reference:python) UV_THREADPOOL_SIZE=1 npx tsx bench/images.ts DIR
//
// DIR holds images, photographs of the usual size, say. Without a Python, only our own figures are shown.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { AUGMENTATIONS, checkAugmentation } from '../lib/image/augmentation.js'
import { decode } from '../lib/image/decode.js'
import { checkPreprocessing } from '../lib/image/preprocessing.js'
import { trainTransform } from '../lib/image/train-transform.js'
import { evalTransform } from '../lib/image/transform.js'
import { native } from '../lib/native.js'

const ROUNDS = 40
const directory = process.argv[2]
if (directory === undefined) throw new Error('usage: bench/images.ts DIR')
const files = readdirSync(directory)
  .filter(name => /\.(jpe?g|png|webp)$/i.test(name))
  .slice(0, 64)
  .map(name => join(directory, name))

const preprocessing = checkPreprocessing('preprocessing', {})
const { crop, mean, std } = preprocessing
const batch = new (native().ImageBatch)(files.length, crop, crop, mean, std)
const decoded = await Promise.all(files.map(file => decode(file)))

type Task = (i: number, round: number) => Promise<unknown>
const tasks: Record<string, Task> = { decode: i => decode(files[i]!) }
tasks.evaluation = i => batch.set(i, decoded[i]!, evalTransform(preprocessing, decoded[i]!))
for (const name of AUGMENTATIONS.filter(name => name !== 'none' && name !== 'flip')) {
  const augmentation = checkAugmentation('augmentation', name)
  tasks[name] = (index, epoch) => {
    const sample = { seed: 0, epoch, index }
    return batch.set(
      index,
      decoded[index]!,
      trainTransform(augmentation, preprocessing, sample, decoded[index]!),
    )
  }
}
tasks['decode + evaluation'] = async i => {
  const pixels = await decode(files[i]!)
  await batch.set(i, pixels, evalTransform(preprocessing, pixels))
}

const ours: Record<string, number> = {}
for (let round = 0; round < ROUNDS; round++) {
  for (const [name, task] of Object.entries(tasks)) {
    const start = process.cpuUsage()
    for (let i = 0; i < files.length; i++) await task(i, round)
    const { user, system } = process.cpuUsage(start)
    ours[name] = Math.min(ours[name] ?? Infinity, (user + system) / 1000 / files.length)
  }
}

const python = process.env.VISIONTORCH_TEST_PYTHON
const theirs: Record<string, number> = python ? runPython(python) : {}
console.log(`| ms an image, ${files.length} images | visiontorch | Pillow + torchvision | ratio |`)
console.log('|---|---|---|---|')
for (const [name, time] of Object.entries(ours)) {
  const peer = theirs[name]
  console.log(
    `| ${name} | ${time.toFixed(2)} | ${peer?.toFixed(2) ?? ''} | ${peer ? (peer / time).toFixed(2) : ''} |`,
  )
}

function runPython(command: string): Record<string, number> {
  const script = join(import.meta.dirname, 'images.py')
  const { status, stdout, stderr } = spawnSync(command, [script, `${ROUNDS}`, ...files], { encoding: 'utf8' })
  if (status !== 0) throw new Error(stderr)
  return JSON.parse(stdout) as Record<string, number>
}
