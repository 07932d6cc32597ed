import { createHash } from 'node:crypto'
import { relative } from 'node:path'
import type { Dataset, Sample } from '../data/dataset.js'
import type { Group } from '../distributed/group.js'
import type { Model } from '../model/model.js'
import { native } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { packageManifest } from '../util/package.js'
import { printable } from '../util/text.js'
import type { TrainingData } from './data.js'
import type { ResolvedTrainOptions } from './table.js'

/** Options that a rank may have for itself: how it decodes, and what rank 0 writes. */
const LOCAL: readonly string[] = ['workers', 'cache', 'directory', 'resume', 'report', 'tensorboard']

/** What all ranks must have in common, in words and short values. */
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
    'training images': describe(dataset.root, data.train),
    'validation images': describe(dataset.root, data.validation),
    ...Object.fromEntries(shared.map(([name, value]) => [name, JSON.stringify(value)])),
  }
}

/** `120 (1f3a...)`: how many, and a digest of their paths below the root and their classes. */
function describe(root: string, samples: readonly Sample[]): string {
  function* lines(): Generator<string> {
    for (const { path, label } of samples) yield `${relative(root, path)}\0${label}\n`
  }
  return `${samples.length} (${digest(lines())})`
}

function digest(texts: Iterable<string>): string {
  const hash = createHash('sha1')
  for (const text of texts) hash.update(text)
  return hash.digest('hex').slice(0, 8)
}

/** @throws ERR_DISTRIBUTED on all ranks, if one has other parts than rank 0: names the rank and the first difference. */
export async function checkAgreement(group: Group, parts: Readonly<Record<string, string>>): Promise<void> {
  if (group.size === 1) return
  const [first, ...others] = await group.gather(parts)
  for (const [i, other] of others.entries()) {
    for (const name of Object.keys({ ...first, ...other })) {
      const [expected, got] = [first![name], other[name]].map(value => printable(value ?? 'none'))
      if (expected === got) continue
      throw new VisionTorchError(
        'ERR_DISTRIBUTED',
        `rank ${i + 1} differs from rank 0: ${name}: ${got}, rank 0 has ${expected}. Start all processes with the same ` +
          'version, options and data',
      )
    }
  }
}
