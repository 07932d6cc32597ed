// Finds the pictures in a folder that look most like a given one, without any training: the vector before the
// classifier describes a picture, and similar pictures have similar vectors.
//
//   npx tsx examples/similar-images.ts query.jpg photos
//   npx tsx examples/similar-images.ts query.jpg photos --weights mobilenet_v2.pth
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { mobilenetV2 } from 'visiontorch'

const { values, positionals } = parseArgs({
  options: { weights: { type: 'string', default: 'DEFAULT' } },
  allowPositionals: true,
})
const [query, folder] = positionals as [string, string]
const names = await readdir(folder, { recursive: true })
const files = names.filter(name => /\.(jpe?g|png|webp)$/i.test(name)).sort()

using model = await mobilenetV2({ weights: values.weights })
const [wanted, ...vectors] = await model.features([query, ...files.map(name => join(folder, name))])

const similarities = vectors.map((vector, index) => ({
  file: files[index]!,
  cosine: cosine(wanted!, vector),
}))
similarities.sort((a, b) => b.cosine - a.cosine)
for (const { file, cosine } of similarities.slice(0, 5)) console.log(`${cosine.toFixed(3)}  ${file}`)

/** Cosine similarity: 1 for vectors with the same direction, 0 for unrelated ones. */
function cosine(a: Float32Array, b: Float32Array): number {
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    ab += a[i]! * b[i]!
    aa += a[i]! ** 2
    bb += b[i]! ** 2
  }
  return ab / Math.sqrt(aa * bb)
}
