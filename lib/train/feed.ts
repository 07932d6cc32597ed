import type { Sample } from '../data/dataset.js'
import { inOrder, type LoadedBatch, type Loader, type TransformOf } from '../data/loader.js'
import type { Group } from '../distributed/group.js'
import { inRounds, ownShare } from '../distributed/rounds.js'
import type { Augmentation } from '../image/augmentation.js'
import { drawMix, mixBatch } from '../image/mix.js'
import type { Preprocessing } from '../image/preprocessing.js'
import { trainTransform } from '../image/train-transform.js'
import type { ImageBatch, NativeModel, NativeTrainer, StepOptions, StepResult } from '../native/native.js'
import type { ResolvedTrainOptions } from './table.js'

/** Feeds the updates of an epoch: each call computes a step on the given images, in the order of the plan. */
export interface Feed {
  step(indices: Uint32Array, options: StepOptions): Promise<StepResult>
  /** With `syncBatchNorm`: takes part in the batch norms of a step that only other ranks have images for. */
  stepWithout(options: StepOptions): Promise<void>
  close(): Promise<void>
}

/** Steps on images that are decoded and transformed while the previous step computes. */
export function imageFeed(
  trainer: NativeTrainer,
  batches: AsyncGenerator<LoadedBatch, void>,
  createBatch: () => ImageBatch,
): Feed {
  return {
    async step(_, options) {
      const { images, labels, mixed } = (await batches.next()).value!
      return trainer.step(images, labels, { ...options, mixed })
    },
    async stepWithout(options) {
      await trainer.step(createBatch(), new Int32Array(), options)
    },
    async close() {
      await batches.return()
    },
  }
}

/** A micro-batch: its images, and its position among all micro-batches of the epoch. */
export interface PlannedBatch {
  indices: Uint32Array
  position: number
}

/** Batches of an epoch (counted from 0), augmented and mixed according to the seed. */
export function trainingBatches(
  loader: Loader,
  plan: readonly PlannedBatch[],
  options: {
    augmentation: Augmentation
    preprocessing: Readonly<Preprocessing>
    seed: number
    epoch: number
  },
): AsyncGenerator<LoadedBatch, void> {
  const { augmentation, preprocessing, seed, epoch } = options
  return loader.batches(
    plan.map(({ indices }) => indices),
    (index, size) => trainTransform(augmentation, preprocessing, { seed, epoch, index }, size),
    async (images, labels, i) => {
      const mix = drawMix(augmentation, { seed, epoch, step: plan[i]!.position }, images)
      return mix === null ? null : mixBatch(images, labels, mix)
    },
  )
}

/** The outputs of a frozen backbone: one row of `width` numbers for each image. */
export interface Features {
  values: Float32Array
  width: number
}

/** Steps of the classifier on features that were computed once. */
export function featureFeed(trainer: NativeTrainer, features: Features, samples: readonly Sample[]): Feed {
  const { values, width } = features
  return {
    step(indices, options) {
      const rows = new Float32Array(indices.length * width)
      for (const [row, index] of indices.entries()) {
        const image = index % samples.length
        rows.set(values.subarray(image * width, (image + 1) * width), row * width)
      }
      const labels = Int32Array.from(indices, index => samples[index % samples.length]!.label)
      return trainer.stepFeatures(rows, labels, options)
    },
    async stepWithout() {},
    async close() {},
  }
}

/**
 * Whether the frozen backbone would compute the same features in every epoch: it sees the same pixels, and its batch
 * norms do not change. This depends only on the options, so a resumed run decides the same.
 */
export function featuresAreFixed(options: ResolvedTrainOptions): boolean {
  const { freezeEpochs, frozenBatchNorm, augmentation, repeatedAugmentation } = options
  return (
    freezeEpochs >= 2 && frozenBatchNorm === 'eval' && isFixed(augmentation) && repeatedAugmentation === 1
  )
}

function isFixed(augmentation: Augmentation): boolean {
  return Object.entries(augmentation).every(
    ([name, value]) => name === 'ratio' || value === 0 || value === null,
  )
}

/** If the features take more memory than this, they are computed again in each epoch. */
const mostBytes = 2 * 1024 ** 3

/** The features of all samples, which the group computes together, or null if they would take too much memory. */
export async function computeFeatures(
  network: NativeModel,
  loader: Loader,
  options: {
    count: number
    batchSize: number
    transformOf: TransformOf
    signal: AbortSignal | undefined
    group: Group
  },
): Promise<Features | null> {
  const { count, batchSize, transformOf, signal, group } = options
  const plan = inOrder(count, batchSize)
  const batches = loader.batches(ownShare(group, plan), transformOf)
  const compute = async () => {
    const { images, labels } = (await batches.next()).value!
    const values = await network.forward(images, labels.length, 'features')
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
  }
  let features: Features | null = null
  let row = 0
  try {
    for await (const bytes of inRounds(group, plan.length, signal, compute)) {
      const values = new Float32Array(
        bytes.buffer,
        bytes.byteOffset,
        bytes.length / Float32Array.BYTES_PER_ELEMENT,
      )
      const rows = Math.min(batchSize, count - row)
      const width = values.length / rows
      if (count * width * values.BYTES_PER_ELEMENT > mostBytes) return null
      features ??= { values: new Float32Array(count * width), width }
      features.values.set(values, row * width)
      row += rows
    }
    return features
  } finally {
    await batches.return()
  }
}
