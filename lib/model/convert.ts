import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { DownloadProgress } from '../download/download.js'
import { type CheckpointValue, type Container, native, type WeightsDType } from '../native/native.js'
import { VisionTorchError } from '../util/errors.js'
import { replaceFile } from '../util/files.js'
import { check, refuse } from '../util/is.js'
import type { ArchitectureAlias } from '../weights/aliases.js'
import { type FetchHubOptions, fetchFromHub, isHubName, parseHubName } from '../weights/hub.js'
import { readHubConfig } from '../weights/hub-config.js'
import { type Architecture, checkArchitecture } from './architectures.js'
import { containers, readCheckpoint } from './checkpoint.js'
import { createModel, loadModel } from './create-model.js'
import type { Model } from './model.js'
import { METADATA, safetensorsMetadata, savedMetadata } from './saved.js'

export interface ConvertOptions {
  /** The network whose weights the file holds, if another program wrote it. Names are then mapped, and shapes checked. */
  architecture?: Architecture | ArchitectureAlias | undefined
  /** Default: `safetensors` for an output of that extension, otherwise `zip`. */
  container?: Container | undefined
  /**
   * `checkpoint`: weights with architecture, classes, preprocessing and, if visiontorch wrote the file, the state of
   * its training; `state_dict`: only the weights. Default: `checkpoint` if visiontorch wrote the file, otherwise
   * `state_dict`.
   */
  format?: 'checkpoint' | 'state_dict' | undefined
  /** False leaves the classifier's layers out. Default true. */
  classifier?: boolean | undefined
  /** The type of the floating-point weights. Default: that of the file. */
  dtype?: WeightsDType | undefined
  /**
   * The names of the weights. `timm`: those of PyTorch Image Models, for networks that are the same there. Default `torchvision`.
   */
  names?: 'torchvision' | 'timm' | undefined
  /** Stops the download of weights on the Hub. */
  signal?: AbortSignal | undefined
  /** Called while weights on the Hub are downloaded. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
}

/**
 * Writes a checkpoint in another container, format or type, or with other names.
 *
 * Weights in a file of visiontorch, or of any program if `architecture` is given, are found as by `createModel`, and written
 * under torchvision's (or timm's) names. Without `architecture`, the content of another program's file is copied as it is;
 * only `container` and `dtype` can then be chosen.
 *
 * @param input A file, or `'hf:owner/name[@revision]'`, whose repository names the network if it is one of timm.
 * @throws VisionTorchError `ERR_INVALID_ARGUMENT`, `ERR_FILE_WRITE`, `ERR_DOWNLOAD`, `ERR_NON_FINITE` (also if a weight is too large for
 * float16), and those of reading a checkpoint and of `createModel`.
 */
export async function convertCheckpoint(
  input: string,
  output: string,
  options: ConvertOptions = {},
): Promise<void> {
  check.string('input', input)
  check.string('output', output)
  check.options('options', options, [
    ...['architecture', 'container', 'format', 'classifier', 'dtype', 'names'],
    ...['signal', 'onProgress'],
  ])
  const architecture =
    options.architecture === undefined ? undefined : checkArchitecture(options.architecture)
  const container = check.oneOf(
    'container',
    options.container ?? (extname(output) === '.safetensors' ? 'safetensors' : 'zip'),
    containers,
  )
  const plan: Plan = {
    container,
    format: optional('format', options.format, ['checkpoint', 'state_dict']),
    classifier: check.boolean('classifier', options.classifier ?? true),
    dtype: optional('dtype', options.dtype, ['float32', 'float16', 'bfloat16']),
    names: check.oneOf('names', options.names ?? 'torchvision', ['torchvision', 'timm']),
  }
  const { signal, onProgress } = options
  const { path, namesNetwork } = await locate(input, { signal, onProgress })
  const file = await describe(path)
  if (file.isOurs || namesNetwork || architecture !== undefined) {
    const load = { device: 'cpu', signal, onProgress } as const
    using model =
      architecture === undefined
        ? await loadModel(input, load)
        : await createModel(architecture, { ...load, weights: input })
    // A repository's config.json has classes and preprocessing, as a checkpoint has.
    const isDescribed = file.isOurs || namesNetwork
    await convertModel(model, path, output, { ...plan, dtype: plan.dtype ?? file.dtype }, isDescribed)
  } else {
    await convertContent(path, output, plan)
  }
}

/** Where the file lies, and whether its repository on the Hub says which network it holds. */
async function locate(
  input: string,
  options: FetchHubOptions,
): Promise<{ path: string; namesNetwork: boolean }> {
  if (!isHubName(input)) return { path: input, namesNetwork: false }
  const { weights, config } = await fetchFromHub(parseHubName(input), options)
  const described = config === null ? undefined : readHubConfig(input, await readFile(config, 'utf8'))
  return { path: weights, namesNetwork: described?.architecture !== undefined }
}

const optional = <T extends string>(
  name: string,
  value: T | undefined,
  known: readonly T[],
): T | undefined => (value === undefined ? undefined : check.oneOf(name, value, known))

interface Plan {
  container: Container
  format: 'checkpoint' | 'state_dict' | undefined
  classifier: boolean
  dtype: WeightsDType | undefined
  names: 'torchvision' | 'timm'
}

/** Whether visiontorch wrote a file, and the type of its weights if all have the same 16-bit type. */
async function describe(path: string): Promise<{ isOurs: boolean; dtype: WeightsDType | undefined }> {
  const checkpoint = await native().openCheckpoint(path, { verify: false })
  try {
    const isOurs = savedMetadata(checkpoint).has('architecture')
    // Besides the weights, a file of ours may hold the state of an optimizer.
    const weights = checkpoint
      .inspect()
      .tensors.filter(({ name }) => !isOurs || !name.includes('/') || name.startsWith('state_dict/'))
    const types = new Set(weights.map(({ dtype }) => dtype).filter(dtype => /float/.test(dtype)))
    const [dtype] = types
    const isHalf = types.size === 1 && (dtype === 'float16' || dtype === 'bfloat16')
    return { isOurs, dtype: isHalf ? dtype : undefined }
  } finally {
    checkpoint.dispose()
  }
}

async function convertModel(
  model: Model,
  input: string,
  output: string,
  { container, format, classifier, dtype, names }: Plan,
  isOurs: boolean,
): Promise<void> {
  const wanted = format ?? (isOurs ? 'checkpoint' : 'state_dict')
  const { network } = model
  if (model.quantization !== null && wanted === 'checkpoint') {
    const changed = [
      ['container', container === 'safetensors'],
      ['classifier', !classifier],
      ['dtype', dtype !== undefined],
      ['names', names === 'timm'],
    ] as const
    const [name] = changed.find(([, given]) => given) ?? []
    if (name !== undefined)
      throw refuse(
        `${name}: expected the default for ${input}, which is quantised. Convert the float checkpoint, or use format: 'state_dict'`,
        name,
      )
  }
  if (names === 'timm' && model.networkOptions.invertedResidualSetting !== undefined)
    throw refuse(
      "names: timm has no network with this invertedResidualSetting. Use torchvision's names",
      'names',
    )
  let metadata: Map<string, CheckpointValue> | null = null
  if (wanted === 'checkpoint') {
    metadata = model.checkpointMetadata()
    if (container === 'safetensors') metadata = safetensorsMetadata(metadata)
    else for (const [key, value] of await training(input)) metadata.set(key, value)
  }
  const options = { container, classifier, names, ...(dtype === undefined ? {} : { dtype }) }
  await replaceFile(output, file => native().saveModel(file.fd, network, metadata, null, options))
}

/** What a file of visiontorch holds besides the model: the state of its training. */
async function training(path: string): Promise<Map<string, CheckpointValue>> {
  const content = await readCheckpoint(path)
  if (!(content instanceof Map) || !content.has('state_dict') || !content.has('architecture'))
    return new Map()
  const model = new Set([
    'state_dict',
    'architecture',
    'classes',
    'preprocessing',
    'options',
    'untrained',
    'quantization',
  ])
  return new Map(
    [...content].filter(([key]) => typeof key === 'string' && !model.has(key)) as [string, CheckpointValue][],
  )
}

async function convertContent(input: string, output: string, plan: Plan): Promise<void> {
  const { container, dtype } = plan
  const needed = (
    [
      ['format', plan.format !== undefined],
      ['classifier', !plan.classifier],
      ['names', plan.names !== 'torchvision'],
    ] as const
  ).find(([, given]) => given)
  if (needed !== undefined) throw unknownNetwork(input, needed[0])
  let content = await readCheckpoint(input)
  if (content instanceof Map && container !== 'safetensors' && content.has(METADATA)) {
    content = new Map([...content].filter(([key]) => key !== METADATA))
  }
  const isFlat =
    content instanceof Map &&
    [...content].every(
      ([key, value]) =>
        key === METADATA ||
        (typeof value === 'object' && value !== null && !(value instanceof Map) && 'dtype' in value),
    )
  if (container === 'safetensors' && !isFlat) throw unknownNetwork(input, 'container')
  await replaceFile(output, file => native().writeCheckpoint(file.fd, content, container, dtype))
}

const unknownNetwork = (path: string, option: string) =>
  new VisionTorchError(
    'ERR_INVALID_ARGUMENT',
    `${path} does not say which network it holds, on which ${option} depends. Name it with architecture`,
    { options: ['architecture', option] },
  )
