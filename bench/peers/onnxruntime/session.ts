// The code of a typical user of ONNX Runtime: sharp decodes, resizes and crops. The packages are in the cache, not in
// node_modules.
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { job } from '../serve.js'

const require = createRequire(join(job.folder, 'ort/'))
export const ort = require('onnxruntime-node')
const sharp = require('sharp')

const size = 224
const [mean, std] = [
  [0.485, 0.456, 0.406],
  [0.229, 0.224, 0.225],
]

export const openSession = () =>
  ort.InferenceSession.create(job.graph, {
    intraOpNumThreads: job.threads,
    interOpNumThreads: 1,
  })

/** Returns the class of an image, given as a file or its bytes. */
export async function classify(
  session: { run(inputs: object): Promise<{ logits: { data: Float32Array } }> },
  image: string | Buffer,
): Promise<number> {
  const { width, height } = await sharp(image).metadata()
  const scale = 256 / Math.min(width, height)
  const pixels: Buffer = await sharp(image)
    .resize(Math.round(width * scale), Math.round(height * scale), { fit: 'fill', kernel: 'linear' })
    .extract({
      left: Math.round((width * scale - size) / 2),
      top: Math.round((height * scale - size) / 2),
      width: size,
      height: size,
    })
    .removeAlpha()
    .raw()
    .toBuffer()
  const values = new Float32Array(3 * size * size)
  for (let i = 0; i < size * size; i++)
    for (let c = 0; c < 3; c++) values[c * size * size + i] = (pixels[3 * i + c]! / 255 - mean[c]!) / std[c]!
  const { logits } = await session.run({ images: new ort.Tensor('float32', values, [1, 3, size, size]) })
  return logits.data.indexOf(Math.max(...logits.data))
}
