// Prints the selected kernels, and features of a picture, as JSON. It is plain JavaScript, because an emulator cannot start
// tsx.
import { createModel, runtimeInfo } from '../../dist/index.js'

const { kernels, cpuCapability } = runtimeInfo()
const model = await createModel('mobilenet_v2', { classes: ['a', 'b'], seed: 1, widthMult: 0.25 })
const pixels = Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 37) % 251)
const image = Buffer.concat([Buffer.from('P6 64 64 255\n'), Buffer.from(pixels)])
console.log(JSON.stringify({ kernels, cpuCapability, features: [...(await model.features(image))] }))
