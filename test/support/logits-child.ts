// A separate process, because a process chooses its kernels once. Prints the logits of each case of
// test/reference/kernels.py. Arguments: the folder, and the type.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Architecture } from '../../lib/model/architectures.js'
import { createModel } from '../../lib/model/create-model.js'
import { native } from '../../lib/native/native.js'

const folder = process.argv[2]!
const dtype = process.argv[3] as 'float32' | 'bfloat16'
const cases = JSON.parse(readFileSync(join(folder, 'cases.json'), 'utf8')) as {
  architecture: Architecture
  shape: [number, number, number]
  images: string
  weights: string
}[]
const all: number[][] = []
for (const { architecture, shape, images, weights } of cases) {
  using model = await createModel(architecture, { weights: join(folder, weights), numClasses: 10 })
  await model.to('cpu', dtype)
  const batch = new (native().ImageBatch)(...shape, [0, 0, 0], [1, 1, 1])
  const { buffer, byteOffset, length } = readFileSync(join(folder, images))
  batch.setTensor(new Float32Array(buffer, byteOffset, length / 4))
  all.push(Array.from(await model.network.forward(batch, shape[0], 'logits')))
}
process.stdout.write(JSON.stringify(all))
