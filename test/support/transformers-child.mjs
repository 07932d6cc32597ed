// transformers-child.mjs PACKAGES MODEL DTYPE IMAGE ...: prints the predictions of transformers.js, from node_modules below
// PACKAGES, for images, without network access: [[{ label, score }, ...], ...]. If DTYPE is empty, config.json chooses it.
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'

const [packages, model, dtype, ...images] = process.argv.slice(2)
const entry = createRequire(join(packages, 'package.json')).resolve('@huggingface/transformers')
const { env, pipeline } = await import(pathToFileURL(entry).href)
env.allowRemoteModels = false
env.localModelPath = dirname(model)
globalThis.fetch = () => Promise.reject(new Error('this test must not access the network'))
const classify = await pipeline('image-classification', basename(model), dtype ? { dtype } : {})
const results = []
for (const image of images) results.push(await classify(image, { top_k: null }))
console.log(JSON.stringify(results))
