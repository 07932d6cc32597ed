// Writes the network in 8 bits: as a checkpoint, and as an ONNX graph of the same integers.
import { graphOf, weightsOf } from '../../paths.js'
import { load } from '../network.js'
import { answer, job, readNoise } from '../serve.js'

const IMAGES = 16

const { network, size } = job
const model = await load()
model.preprocessing = { ...model.preprocessing, resize: size, crop: size }
const { mean, std } = model.preprocessing
const noise = readNoise(IMAGES)
const images = Array.from({ length: IMAGES }, (_, image) => {
  const data = new Uint8ClampedArray(size * size * 3) // which rounds, too
  for (let pixel = 0; pixel < size * size; pixel++)
    for (let c = 0; c < 3; c++)
      data[pixel * 3 + c] = 255 * (mean[c]! + std[c]! * noise[(image * 3 + c) * size * size + pixel]!)
  return { data, width: size, height: size, channels: 3 }
})
const quantized = await model.quantize(images, { keep: 'none' })
await quantized.export(graphOf(`${network}.int8`), { allowUntrained: true })
await quantized.save(weightsOf(`${network}.int8`))
answer({})
