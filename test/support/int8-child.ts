// A process of its own, as the kernels are chosen once: prints the logits of quantised checkpoints for images of noise.
// Arguments: the size of the images, and the checkpoints.
import { loadModel } from '../../lib/index.js'
import { native } from '../../lib/native/native.js'

const [size, ...checkpoints] = process.argv.slice(2)
const side = Number(size)
const all: number[][] = []
for (const checkpoint of checkpoints) {
  using model = await loadModel(checkpoint, { device: 'cpu' })
  const logits: number[] = []
  for (const count of [1, 3]) {
    const batch = new (native().ImageBatch)(count, side, side, [0, 0, 0], [1, 1, 1])
    batch.setTensor(
      Float32Array.from({ length: count * 3 * side * side }, (_, i) => Math.sin(i * i * 0.37) * 1.8),
    )
    logits.push(...(await model.network.forward(batch, count, 'logits')))
  }
  all.push(logits)
}
process.stdout.write(JSON.stringify(all))
