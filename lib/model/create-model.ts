import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { isUnnamed, list } from '../data/labels.js'
import type { DownloadProgress } from '../download/download.js'
import { checkPreprocessing, cropTo, type Preprocessing } from '../image/preprocessing.js'
import {
  type CheckpointValue,
  type LoadReport,
  type MatchOptions,
  type NativeCheckpoint,
  type NetworkOptions,
  native,
} from '../native/native.js'
import { type Device, resolveDevice } from '../native/runtime.js'
import { VisionTorchError } from '../util/errors.js'
import { check, invalid, is, refuse } from '../util/is.js'
import { printable } from '../util/text.js'
import type { ArchitectureAlias } from '../weights/aliases.js'
import { fetchWeights } from '../weights/cache.js'
import { fetchFromHub, isHubName, parseHubName } from '../weights/hub.js'
import { type HubConfig, readHubConfig } from '../weights/hub-config.js'
import {
  findFile,
  imagenetClasses,
  type OfficialWeights,
  resolveWeights,
  usualPreprocessing,
} from '../weights/manifest.js'
import {
  type Architecture,
  checkArchitecture,
  familyOf,
  listArchitectures,
  sizeOption,
} from './architectures.js'
import { checkReport } from './load-report.js'
import {
  checkClasses,
  checkSavedClasses,
  checkSeed,
  MODEL_DTYPES,
  Model,
  type ModelDType,
  savedUntrained,
} from './model.js'
import { checkNetworkOptions, networkOptionNames } from './network-options.js'
import { savedMetadata } from './saved.js'

/**
 * Official weights by torchvision's name (`'DEFAULT'` for the most accurate ones) or file name
 * (`'resnet18-5c106cde.pth'`), the path, `file:` or `http(s):` URL of a `.pth` or safetensors file, or a repository of
 * the Hugging Face Hub: `'hf:owner/name'` or `'hf:owner/name@revision'`.
 */
export type Weights = 'DEFAULT' | 'IMAGENET1K_V1' | 'IMAGENET1K_V2' | (string & {}) | URL

export interface LoadModelOptions {
  /** Default `'auto'`: the first CUDA device if there is one, otherwise the CPU. */
  device?: Device
  /** Default: `'int8'` for a quantised checkpoint, otherwise `'float32'`. */
  dtype?: ModelDType
  /**
   * Default false: the weights are copied, and the model does not depend on its file once it is loaded. With true, a
   * model on the CPU shares the memory of the file's pages, which saves time and, if several processes load the same
   * file, memory. Nothing may write to the file while the model is in use: its predictions would change, and truncating
   * the file ends the process (SIGBUS). Renaming another file over it is safe.
   */
  mmap?: boolean
  signal?: AbortSignal | undefined
  /** Called while weights are downloaded. */
  onProgress?: ((progress: DownloadProgress) => void) | undefined
}

export interface CreateModelOptions extends LoadModelOptions, NetworkOptions {
  /** Default null: random weights, initialised as torchvision does. Their predictions are random, too. */
  weights?: Weights | null
  /**
   * The classes' names. Default: those of the weights; ImageNet's names for official ones. If they are not the classes
   * of the weights, the classifier is new, see {@link createModel}.
   */
  classes?: readonly string[]
  /** The number of classes. Default: that of `classes`, else that of the weights, else 1000. */
  numClasses?: number
  /** The seed of the random weights. Default 0. The same seed gives PyTorch's weights after `torch.manual_seed(seed)`. */
  seed?: number
  /**
   * Default true: every tensor of the weights must fit the network, except for those of a classifier that will be
   * new. With false, the tensors that fit are loaded, and `model.loadReport` names the rest.
   */
  strict?: boolean
  /**
   * A folder to search for official weights by file name (`resnet50-0676ba61.pth`) before downloading them.
   * Default: the environment variable `VISIONTORCH_WEIGHTS_DIR`, if it is set.
   */
  weightsDir?: string | undefined
}

const loadOptionNames = ['device', 'dtype', 'mmap', 'signal', 'onProgress']
const createOptionNames = [
  ...loadOptionNames,
  ...networkOptionNames,
  'weights',
  'classes',
  'numClasses',
  'seed',
  'strict',
  'weightsDir',
]

/**
 * Creates a network by torchvision's name, with random or trained weights. Trained weights are found by the names and
 * shapes of the network's tensors, wherever the file keeps them: see `model.loadReport`.
 *
 * If the weights have no classifier, or one for other classes than those asked for, the backbone is loaded and the
 * classifier is new: `model.untrained` is true, and `predict` and `evaluate` throw `ERR_UNTRAINED` until it is trained.
 *
 * ```ts
 * const model = await createModel('resnet50', { weights: 'DEFAULT', classes: ['cat', 'dog'] })
 * ```
 *
 * @throws VisionTorchError `ERR_INVALID_ARGUMENT`, `ERR_DEVICE`, `ERR_CHECKPOINT_MISMATCH` (the weights are of another
 * network), `ERR_NON_FINITE` (they hold NaN or infinity), and those of downloading and of reading a checkpoint.
 */
export async function createModel(
  name: Architecture | ArchitectureAlias,
  options: CreateModelOptions = {},
): Promise<Model> {
  const architecture = checkArchitecture(name)
  check.options('options', options, createOptionNames)
  const plan: Plan = {
    ...checkLoadOptions(options),
    architecture,
    networkOptions: checkNetworkOptions(architecture, options),
    classes: requestedClasses(options),
    seed: checkSeed(options.seed),
    strict: check.boolean('strict', options.strict ?? true),
  }
  const { signal, onProgress, weightsDir } = options
  if (options.weights === undefined || options.weights === null) return build(plan, undefined)
  const found = await locate(architecture, options.weights, { signal, onProgress, weightsDir })
  return withCheckpoint(found.path, plan, checkpoint => {
    const source = describe(checkpoint, found)
    checkNetwork(source, architecture)
    return build(plan, source)
  })
}

/** @throws ERR_CHECKPOINT_MISMATCH if the file says that its weights belong to another network. */
function checkNetwork({ path, network }: Source, architecture: Architecture): void {
  if (network === undefined || network === architecture) return
  throw new VisionTorchError(
    'ERR_CHECKPOINT_MISMATCH',
    `${path}: expected the weights of ${architecture}, got those of ${network}. ` +
      `Name that network: createModel('${network}', ...), or --model ${network} on the command line`,
  )
}

/**
 * Loads a model that `Model.save`, `train` or `visiontorch train` wrote, with its architecture, classes and preprocessing,
 * or one of timm on the Hugging Face Hub.
 *
 * @param path A file, or `'hf:owner/name[@revision]'`.
 * @throws VisionTorchError `ERR_CHECKPOINT_MISMATCH` for a file that does not say which network it holds, such as one
 * of another program: load it with `createModel(architecture, { weights: path })`.
 */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<Model> {
  check.string('path', path)
  check.options('options', options, loadOptionNames)
  const loadOptions = checkLoadOptions(options)
  const found = isHubName(path) ? await locateOnHub(path, options) : { path }
  return withCheckpoint(found.path, loadOptions, checkpoint => {
    const source = describe(checkpoint, found)
    if (source.network === undefined) {
      throw new VisionTorchError(
        'ERR_CHECKPOINT_MISMATCH',
        `${path}: expected a checkpoint that visiontorch wrote, got a file that does not say which network it holds. ` +
          'Name it: createModel(architecture, { weights: path }), or --model and --weights on the command line',
      )
    }
    return build(
      {
        ...loadOptions,
        architecture: source.network,
        networkOptions: {},
        classes: undefined,
        seed: 0,
        strict: true,
      },
      source,
    )
  })
}

/** The checked options. */
interface Plan {
  architecture: Architecture
  networkOptions: NetworkOptions
  classes: readonly string[] | undefined
  seed: number
  strict: boolean
  device: string
  dtype: ModelDType | undefined
  mmap: boolean
  signal: AbortSignal | undefined
}

/** What the file of weights says about itself; undefined if it says nothing. */
interface Source {
  path: string
  checkpoint: NativeCheckpoint
  /** Only in files of ours. */
  architecture: Architecture | undefined
  /** The network that it holds, according to a file of ours or to its repository. */
  network: Architecture | undefined
  networkOptions: NetworkOptions
  classes: readonly string[] | undefined
  preprocessing: Preprocessing | undefined
  /** Official weights whose classifier cannot be used. */
  backboneOnly: boolean
  /** Why the file's classifier is random, if it is. */
  untrained: string | null
  /** Whether some of the weights are integers, see {@link Model.quantize}. */
  quantized: boolean
  /** The Python objects in the file that were not read, each with its class. */
  skipped: readonly string[]
}

async function build(plan: Plan, source: Source | undefined): Promise<Model> {
  const { architecture, device, signal } = plan
  const quantized = source?.quantized === true
  const dtype = plan.dtype ?? (quantized ? 'int8' : 'float32')
  if (dtype === 'int8' && !quantized) {
    const name = source === undefined ? `a new ${architecture}` : source.path
    throw refuse(
      `dtype: expected float32 or bfloat16, got int8: ${name} is not quantised. Quantise it first: model.quantize(), ` +
        'or visiontorch quantize on the command line',
      'dtype',
    )
  }
  const networkOptions = { ...source?.networkOptions, ...plan.networkOptions }
  const { imageSize } = networkOptions
  const preprocessing =
    source?.preprocessing ?? checkPreprocessing('preprocessing', usualPreprocessing(architecture) ?? {})
  // In a file of ours 'state_dict' is the network, and 'ema' a part of the state of its training.
  const which: MatchOptions = {
    averaged: source?.architecture === undefined,
    classifier: source?.backboneOnly ? 'none' : 'whole',
  }
  // Check this before anything is allocated: a file may claim any size for its network.
  const found =
    source && (await native().matchWeights(source.checkpoint, architecture, networkOptions, which))
  const classes = plan.classes ?? source?.classes ?? checkClasses('numClasses', found?.numClasses ?? 1000)
  const newClassifier = found === undefined ? null : whyNewClassifier(source!, found, classes)
  if (quantized && newClassifier !== null) {
    throw new VisionTorchError(
      'ERR_CHECKPOINT_MISMATCH',
      `${newClassifier}. A quantised model cannot get a new classifier: start from the float checkpoint`,
    )
  }
  if (found !== undefined) {
    const { path, checkpoint } = source!
    // A file's own options must not allocate more than the file holds, either.
    const isOurs = source!.architecture !== undefined
    const strict = plan.strict || (isOurs && Object.keys(source!.networkOptions).length > 0)
    await checkReport(found, {
      path,
      checkpoint,
      architecture,
      strict,
      anyClasses: true,
      newClassifier: newClassifier !== null,
    })
  }
  // If a strict load replaces all weights, they need no random numbers. But a file may lack auxiliary heads.
  const isWhole = plan.strict && newClassifier === null && !hasAuxiliaryHeads(architecture, networkOptions)
  const seed = source !== undefined && isWhole ? null : plan.seed
  const network = await native().createModel(architecture, classes.length, seed, networkOptions)
  try {
    signal?.throwIfAborted()
    const loadReport =
      source === undefined
        ? null
        : await network.loadStateDict(source.checkpoint, {
            averaged: which.averaged,
            classifier: newClassifier === null || source.backboneOnly ? which.classifier : 'hidden',
            strict: false,
          })
    loadReport?.skipped.push(...source!.skipped)
    if (device !== 'cpu' || dtype !== 'float32' || quantized) await network.to(device, dtype)
    signal?.throwIfAborted()
    return new Model({
      network,
      architecture,
      networkOptions,
      classes,
      preprocessing: imageSize === undefined ? preprocessing : cropTo(preprocessing, imageSize),
      loadReport,
      untrained: newClassifier ?? source?.untrained ?? null,
    })
  } catch (error) {
    network.dispose()
    throw source === undefined ? error : inFile(source.path, error)
  }
}

const hasAuxiliaryHeads = (architecture: Architecture, { auxLogits = true }: NetworkOptions): boolean =>
  auxLogits && familyOf(architecture).options.includes('auxLogits')

/** Why the file's classifier does not fit these classes; null if it does. */
function whyNewClassifier(
  { path, classes: named, architecture }: Source,
  { numClasses }: LoadReport,
  classes: readonly string[],
): string | null {
  if (numClasses === null) return `${path} has no classifier that fits`
  if (architecture !== undefined && named?.length !== numClasses) {
    throw new VisionTorchError(
      'ERR_CHECKPOINT_MISMATCH',
      `${path}: it names ${named?.length} classes, but its classifier has ${numClasses}. Save the model again`,
    )
  }
  if (numClasses !== classes.length)
    return `${path} has ${numClasses} classes, and ${classes.length} were asked for`
  const isSame = named === undefined || isUnnamed(named) || isUnnamed(classes) || sameNames(named, classes)
  const shown = (names: readonly string[]) => list(names.map(name => printable(name, 40)))
  return isSame ? null : `${path} has the classes ${shown(named)}, and ${shown(classes)} were asked for`
}

const sameNames = (a: readonly string[], b: readonly string[]) => a.every((name, i) => name === b[i])

/** Adds the file to an error about its tensors, because the addon only knows their names. */
function inFile(path: string, error: unknown): unknown {
  // Compare the code and not the class, because a second copy of this package may have given the addon its own
  // class.
  const { code, message } = error as VisionTorchError
  if (code !== 'ERR_NON_FINITE' && code !== 'ERR_CHECKPOINT_MISMATCH') return error
  return new VisionTorchError(code, `${path}: ${message}`, { cause: error })
}

function checkLoadOptions({ device = 'auto', dtype, mmap = false, signal }: LoadModelOptions) {
  signal?.throwIfAborted()
  return {
    device: resolveDevice(device, native().runtimeInfo()),
    dtype: dtype === undefined ? undefined : check.oneOf('dtype', dtype, MODEL_DTYPES),
    mmap: check.boolean('mmap', mmap),
    signal,
  }
}

function requestedClasses({ classes, numClasses }: CreateModelOptions): readonly string[] | undefined {
  if (classes === undefined)
    return numClasses === undefined ? undefined : checkClasses('numClasses', numClasses)
  const names = Array.isArray(classes) ? checkClasses('classes', classes) : undefined
  if (names === undefined)
    throw invalid('classes', "an array of the classes' names (or use numClasses)", classes)
  if (numClasses !== undefined && numClasses !== names.length) {
    throw invalid('numClasses', `${names.length}, as there are so many classes, or nothing`, numClasses)
  }
  return names
}

/** A file of weights, and what its source says about it. */
interface Located {
  path: string
  official?: OfficialWeights
  hub?: HubConfig
}

async function locateOnHub(name: string, { signal, onProgress }: LoadModelOptions): Promise<Located> {
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw invalid('onProgress', 'a function', onProgress)
  const { weights, config } = await fetchFromHub(parseHubName(name), { signal, onProgress })
  return config === null
    ? { path: weights }
    : { path: weights, hub: readHubConfig(name, await readFile(config, 'utf8')) }
}

/** The file of the weights, downloaded if necessary. */
async function locate(
  architecture: Architecture,
  weights: unknown,
  options: Pick<CreateModelOptions, 'signal' | 'onProgress' | 'weightsDir'>,
): Promise<Located> {
  const name = weights instanceof URL ? weights.href : weights
  if (!is.string(name)) {
    throw invalid(
      'weights',
      "'DEFAULT' or another name of torchvision's, a path, a URL, 'hf:owner/name', or null",
      weights,
    )
  }
  if (/^(default|imagenet1k_\w+)$/i.test(name)) {
    const official = resolveWeights(architecture, name)
    return { path: await fetchWeights(official, options), official }
  }
  const byFile = existsSync(name) ? undefined : findFile(name)
  if (byFile !== undefined) return { path: await fetchWeights(byFile, options), official: byFile }
  if (isHubName(name)) return locateOnHub(name, options)
  if (/^https?:/i.test(name)) return { path: await fetchWeights(name, options) }
  return { path: /^file:/i.test(name) ? fileURLToPath(name) : name }
}

async function withCheckpoint<T>(
  path: string,
  { mmap, signal }: Pick<Plan, 'mmap' | 'signal'>,
  use: (checkpoint: NativeCheckpoint) => Promise<T>,
): Promise<T> {
  const checkpoint = await native().openCheckpoint(path, { verify: false, mmap })
  try {
    signal?.throwIfAborted()
    return await use(checkpoint)
  } finally {
    checkpoint.dispose()
  }
}

/**
 * Reads what a checkpoint of ours says about itself, what the manifest says about official weights, or what a repository
 * on the Hub says about its weights.
 */
function describe(checkpoint: NativeCheckpoint, { path, official, hub }: Located): Source {
  const foreign: Source = {
    path,
    checkpoint,
    architecture: undefined,
    network: undefined,
    networkOptions: {},
    classes: undefined,
    preprocessing: undefined,
    backboneOnly: false,
    untrained: null,
    quantized: false,
    skipped: [],
  }
  if (official !== undefined) {
    const preprocessing = checkPreprocessing('preprocessing', official.preprocessing)
    const fixedSize = sizeOption(official.architecture as Architecture, preprocessing.crop)
    return {
      ...foreign,
      networkOptions: { ...fixedSize, ...official.networkOptions },
      classes: official.numClasses === 1000 ? imagenetClasses() : undefined,
      preprocessing,
      backboneOnly: official.numClasses === null,
    }
  }
  const { tensors, skipped } = checkpoint.inspect()
  const metadata = savedMetadata(checkpoint)
  foreign.skipped = skipped.map(({ name, type }) => `${printable(name)} (${printable(type)})`)
  const field = (name: string) => metadata.get(name)
  const architecture = listArchitectures().find(name => name === field('architecture'))
  if (architecture === undefined || !Array.isArray(field('classes')))
    return hub === undefined ? foreign : describedByHub(foreign, hub)
  try {
    return {
      ...foreign,
      architecture,
      network: architecture,
      networkOptions: checkNetworkOptions(architecture, toObject(field('options')), tensors.length),
      classes: checkSavedClasses(field('classes')),
      // Files that are older than autoOrient lack it, and their models were trained without it.
      preprocessing: checkPreprocessing('preprocessing', {
        autoOrient: false,
        ...toObject(field('preprocessing')),
      }),
      untrained: savedUntrained(path, metadata),
      quantized: metadata.has('quantization'),
    }
  } catch (error) {
    throw new VisionTorchError(
      'ERR_CHECKPOINT_MISMATCH',
      `${path}: this version does not understand its metadata: ${printable((error as Error).message, 500)}`,
      { cause: error },
    )
  }
}

function describedByHub(
  foreign: Source,
  { architecture, networkOptions, classes, preprocessing }: HubConfig,
): Source {
  const network = architecture === undefined ? undefined : checkArchitecture(architecture)
  const fixedSize = network === undefined ? {} : sizeOption(network, preprocessing?.crop)
  return { ...foreign, network, networkOptions: { ...networkOptions, ...fixedSize }, classes, preprocessing }
}

function toObject(value: CheckpointValue | undefined): Record<string, unknown> {
  return value instanceof Map ? Object.fromEntries([...value].map(([key, item]) => [String(key), item])) : {}
}
