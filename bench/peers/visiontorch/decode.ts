// Measures the processor time per image, in ms, of decoding, of making the network's input (`evaluation`), or of both.
import { checkAugmentation } from '../../../lib/image/augmentation.js'
import { decode } from '../../../lib/image/decode.js'
import { checkPreprocessing } from '../../../lib/image/preprocessing.js'
import { toSize } from '../../../lib/image/size.js'
import { trainTransform } from '../../../lib/image/train-transform.js'
import { evalTransform } from '../../../lib/image/transform.js'
import { native, type Pixels } from '../../../lib/native/native.js'
import { job, serve } from '../serve.js'

const preprocessing = checkPreprocessing('preprocessing', {})
const { mean, std } = preprocessing
const { width, height } = toSize(preprocessing.crop)
const batch = new (native().ImageBatch)(1, height, width, mean, std)
const decoded = await Promise.all(job.photos.map(path => decode(path)))
const evaluate = (pixels: Pixels) => batch.set(0, pixels, evalTransform(preprocessing, pixels))

type Step = (index: number, round: number) => Promise<unknown>
const steps: Record<string, Step> = {
  decode: i => decode(job.photos[i]!),
  evaluation: i => evaluate(decoded[i]!),
  'decode + evaluation': async i => evaluate(await decode(job.photos[i]!)),
}

function augmented(name: string): Step {
  const augmentation = checkAugmentation('augmentation', name)
  return (index, epoch) => {
    const sample = { seed: 0, epoch, index }
    const pixels = decoded[index]!
    return batch.set(0, pixels, trainTransform(augmentation, preprocessing, sample, pixels))
  }
}

const step = steps[job.task] ?? augmented(job.task)
let round = 0
const clock = () => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000 / job.photos.length
}
await serve(
  async () => {
    for (const index of job.photos.keys()) await step(index, round)
    round++
    // Only the evaluation's result is the same in all peers, byte for byte.
    return job.task.endsWith('evaluation') ? batch.getTensor(1).filter((_, i) => i % 97 === 0) : []
  },
  { clock },
)
