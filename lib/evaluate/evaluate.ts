import { availableParallelism } from 'node:os'
import type { Dataset, Sample } from '../data/dataset.js'
import { decodeSample } from '../data/decode-sample.js'
import { describeSamples, digest } from '../data/digest.js'
import { relabel } from '../data/labels.js'
import { inOrder, Loader } from '../data/loader.js'
import { toDataset } from '../data/open.js'
import { checkAgreement } from '../distributed/agreement.js'
import { Group, withGroup } from '../distributed/group.js'
import { inRounds, ownShare } from '../distributed/rounds.js'
import type { DistributedSettings } from '../distributed/settings.js'
import type { Preprocessing } from '../image/preprocessing.js'
import { evalTransform } from '../image/transform.js'
import { checkModel, type Model } from '../model/model.js'
import type { NativeModel } from '../native/native.js'
import { finiteLogits } from '../predict/non-finite.js'
import { VisionTorchError } from '../util/errors.js'
import { check, invalid } from '../util/is.js'
import { type Evaluation, Metrics, SCORES, scoresOf, softmax } from './metrics.js'

/** A model's scores for an image whose class is known. */
export interface ScoredImage {
  file: string
  /** The image's class. */
  label: string
  /** The class with the highest probability. */
  predicted: string
  /** The probability of each class, in the order of the model's classes. */
  scores: Float32Array
}

export interface EvaluateOptions {
  /** `'val'` (which falls back to `'test'`), `'train'`, `'test'`, or `'all'` for all of them. Default `'val'`. */
  split?: string
  /** The number of images in a batch. Default 32. */
  batchSize?: number
  /** How many images are decoded at the same time. Default: the number of cores, at most 8. */
  workers?: number
  /** How many of the worst predictions the result lists. Default 24. */
  keepWorst?: number
  /**
   * The classes of the data, in the order of the ids in annotations, or a file with one per line. Default: the list next
   * to the annotations, otherwise the model's classes.
   */
  classes?: string | readonly string[]
  /** Also evaluates a classifier that was never trained, whose predictions are random. Default false. */
  allowUntrained?: boolean
  /**
   * Called for each image, in the order of the data. If it returns a promise, the evaluation waits for it. With
   * `distributed`, each process that passes it gets all images.
   */
  onPrediction?: ((image: ScoredImage) => unknown) | undefined
  /**
   * Shares the images with the other processes of a job, like the option of `train()`; all get the result that a
   * single process would get. Default false.
   */
  distributed?: boolean | DistributedSettings
  signal?: AbortSignal | undefined
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined
}

/**
 * Classifies all images of a split, in eval mode, and compares the predictions with their classes, which are
 * matched by name.
 * @param data A folder of images or an annotation file, or an open data set.
 * @throws ERR_DATASET if the data cannot be opened or has a class that the model lacks, ERR_IMAGE_DECODE naming an
 *   image that cannot be decoded, ERR_UNTRAINED if the model's classifier is new, ERR_NON_FINITE if its outputs are NaN or
 *   infinite, or the signal's reason.
 */
export async function evaluate(
  model: Model,
  data: string | Dataset,
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const known = [
    'split',
    'batchSize',
    'workers',
    'keepWorst',
    'classes',
    'allowUntrained',
    'onPrediction',
    'distributed',
    'signal',
    'onProgress',
  ]
  check.options('options', options, known)
  checkModel(model).checkGivesProbabilities(check.boolean('allowUntrained', options.allowUntrained ?? false))
  const batchSize = check.integer('batchSize', options.batchSize ?? 32, 1)
  const workers = check.integer('workers', options.workers ?? Math.min(8, availableParallelism()), 1, 1024)
  const keepWorst = check.integer('keepWorst', options.keepWorst ?? 24, 0)
  const { onPrediction } = options
  if (onPrediction !== undefined && typeof onPrediction !== 'function')
    throw invalid('onPrediction', 'a function', onPrediction)
  const split = check.string('split', options.split ?? 'val')
  const checked = { ...options, batchSize, workers, keepWorst, split }
  return withGroup(options.distributed, group => evaluateInGroup(model, data, checked, group))
}

async function evaluateInGroup(
  model: Model,
  data: string | Dataset,
  options: EvaluateOptions & { batchSize: number; workers: number; keepWorst: number; split: string },
  group: Group,
): Promise<Evaluation> {
  const { batchSize, workers, keepWorst, split, signal, onProgress, onPrediction } = options
  const dataset = await toDataset(data, { classes: options.classes, modelClasses: model.classes, signal })
  const chosen = split === 'all' ? [...dataset.splits.values()].flat() : dataset.split(split)
  const samples = relabel(chosen, dataset.classes, model.classes)
  if (samples.length === 0) {
    throw new VisionTorchError(
      'ERR_DATASET',
      `${dataset.root}: no images to evaluate in '${split}'. Add some`,
    )
  }
  await checkAgreement(group, {
    architecture: model.architecture,
    classes: digest(model.classes),
    preprocessing: JSON.stringify(model.preprocessing),
    images: describeSamples(dataset.root, samples),
    batchSize: String(batchSize),
  })
  const evaluator = new Evaluator({
    group,
    samples,
    classes: model.classes,
    preprocessing: model.preprocessing,
    loader: new Loader({
      samples,
      workers,
      createBatch: () => model.createImageBatch(Math.min(batchSize, samples.length)),
      decode: sample => decodeSample(sample, { autoOrient: model.preprocessing.autoOrient }),
    }),
    batchSize,
  })
  return evaluator.run(model.network, { keepWorst, signal, onProgress, onPrediction })
}

/** @internal Evaluates networks on the same images again and again, with the same buffers. */
export class Evaluator {
  constructor(
    private readonly parts: {
      samples: readonly Sample[]
      classes: readonly string[]
      preprocessing: Readonly<Preprocessing>
      loader: Loader
      batchSize: number
      /** The processes that share the images. Default: only this one. */
      group?: Group
    },
  ) {}

  async run(
    network: NativeModel,
    options: Pick<EvaluateOptions, 'signal' | 'onProgress' | 'onPrediction'> & { keepWorst: number },
  ): Promise<Evaluation> {
    const { samples, classes, preprocessing, loader, batchSize, group = Group.alone } = this.parts
    const metrics = new Metrics(classes, options.keepWorst)
    let done = 0
    let round = 0
    const plan = inOrder(samples.length, batchSize)
    const batches = loader.batches(ownShare(group, plan), (_, size) => evalTransform(preprocessing, size))
    const { onPrediction } = options
    // The ranks exchange logits only if one of them listens to predictions.
    const listeners = await group.gather(onPrediction !== undefined)
    const sharesLogits = listeners.includes(true)
    const scoreBatch = async () => {
      const { images, labels } = (await batches.next()).value!
      const outputs = await network.forward(images, labels.length, 'logits')
      const logits = await finiteLogits(network, outputs)
      const scores = new Uint8Array(scoresOf(logits, labels).buffer)
      if (!sharesLogits) return scores
      const both = new Uint8Array(scores.length + logits.byteLength)
      both.set(scores)
      both.set(new Uint8Array(logits.buffer, logits.byteOffset, logits.byteLength), scores.length)
      return both
    }
    try {
      for await (const bytes of inRounds(group, plan.length, options.signal, scoreBatch)) {
        const images = plan[round++]!.length
        const scores = new Float64Array(bytes.buffer, bytes.byteOffset, images * SCORES)
        for (let i = 0; i < images; i++) {
          const { path, label } = samples[done++]!
          metrics.addScores(scores.subarray(i * SCORES, (i + 1) * SCORES), label, path)
          if (onPrediction === undefined) continue
          const offset = bytes.byteOffset + scores.byteLength + i * classes.length * 4
          const probabilities = softmax(new Float32Array(bytes.buffer, offset, classes.length))
          const predicted = classes[probabilities.indexOf(probabilities.reduce((a, b) => Math.max(a, b)))]!
          await onPrediction({ file: path, label: classes[label]!, predicted, scores: probabilities })
        }
        options.onProgress?.({ done, total: samples.length })
      }
    } finally {
      await batches.return()
    }
    return metrics.result()
  }
}
