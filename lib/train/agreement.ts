import type { Dataset } from '../data/dataset.js'
import { describeSamples, digest } from '../data/digest.js'
import type { Model } from '../model/model.js'
import { native } from '../native/native.js'
import { packageManifest } from '../util/package.js'
import type { TrainingData } from './data.js'
import type { ResolvedTrainOptions } from './table.js'

/** Options that may differ between ranks: how a rank decodes, and what rank 0 writes. */
const LOCAL: readonly string[] = ['workers', 'cache', 'directory', 'resume', 'report', 'tensorboard']

/** What all ranks must have in common: short values by names for messages. */
export function commonParts(
  model: Model,
  options: ResolvedTrainOptions,
  dataset: Dataset,
  data: TrainingData,
): Record<string, string> {
  const shared = Object.entries(options).filter(([name]) => !LOCAL.includes(name))
  return {
    'version of visiontorch': packageManifest().version,
    'version of LibTorch': native().runtimeInfo().libtorchVersion,
    architecture: model.architecture,
    'options of the network': JSON.stringify(model.networkOptions),
    classes: `${model.classes.length} (${digest([model.classes.join('\0')])})`,
    preprocessing: JSON.stringify(model.preprocessing),
    'training images': describeSamples(dataset.root, data.train),
    'validation images': describeSamples(dataset.root, data.validation),
    ...Object.fromEntries(shared.map(([name, value]) => [name, JSON.stringify(value)])),
  }
}
