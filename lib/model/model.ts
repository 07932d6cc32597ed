import { checkClassNames } from '../data/class-names.js'
import type { Dataset } from '../data/dataset.js'
import { checkExportOptions, type ExportedModel, type ExportOptions, exportModel } from '../export/export.js'
import type { ImageInput } from '../image/input.js'
import { checkPreprocessing, type Preprocessing, type PreprocessingName } from '../image/preprocessing.js'
import { checkInputSize, type InputSize, toSize } from '../image/size.js'
import {
  type ByteScale,
  type CheckpointValue,
  type ImageBatch,
  type LayerSummary,
  type LoadReport,
  type NativeModel,
  type NetworkOptions,
  native,
  type TensorData,
} from '../native/native.js'
import { type Device, resolveDevice } from '../native/runtime.js'
import { Batcher } from '../predict/batcher.js'
import {
  type FeatureOptions,
  features,
  type Prediction,
  type PredictOptions,
  predict,
} from '../predict/predict.js'
import { VisionTorchError } from '../util/errors.js'
import { replaceFile } from '../util/files.js'
import { check, invalid, is, refuse } from '../util/is.js'
import type { Architecture } from './architectures.js'
import { checkReport } from './load-report.js'
import {
  checkQuantizeOptions,
  type QuantizationSummary,
  type QuantizeOptions,
  quantizeNetwork,
} from './quantize.js'
import { safetensorsMetadata, savedMetadata } from './saved.js'

/**
 * The type that inference computes in. bfloat16 is faster if the CPU or GPU supports it; on a CPU that does
 * not (`runtimeInfo().bfloat16`), float32 is used instead. int8 is for quantised models: see {@link Model.quantize}.
 */
export type ModelDType = 'float32' | 'bfloat16' | 'int8'
/** @internal */
export const MODEL_DTYPES = ['float32', 'bfloat16', 'int8'] as const satisfies readonly ModelDType[]

/** The network layer by layer, for one image. */
export interface ModelSummary {
  architecture: Architecture
  /** Height and width of the image, in pixels. */
  inputSize: number | [height: number, width: number]
  layers: LayerSummary[]
  parameterCount: number
  /** Multiply-adds of convolutions and linear layers. */
  multiplyAdds: number
}

/** @internal The parts of a {@link Model}. */
export interface ModelParts {
  network: NativeModel
  architecture: Architecture
  networkOptions: NetworkOptions
  classes: readonly string[]
  preprocessing: Preprocessing
  loadReport: LoadReport | null
  /**
   * Why the classifier is random, for the message of `ERR_UNTRAINED`; null if it was trained or the caller asked for random
   * weights.
   */
  untrained?: string | null
}

/**
 * A network with the names of its classes and its preprocessing. `createModel` and `loadModel` create it.
 *
 * After `dispose()`, every other method throws or rejects with `ERR_DISPOSED`. Calling it is optional: otherwise the
 * garbage collector frees the memory later.
 */
export class Model implements Disposable {
  readonly architecture: Architecture
  /** What loading the weights found; null for a network with random weights. */
  readonly loadReport: LoadReport | null
  /** @internal The options that the network was built with; checkpoints contain them. */
  readonly networkOptions: Readonly<NetworkOptions>
  #network: NativeModel | undefined
  #classes: readonly string[]
  #preprocessing: Preprocessing
  #frozen = false
  #untrained: string | null
  /** Whether the caller asked for random weights, and so expects a random classifier. */
  #random: boolean
  readonly #batchers = new Map<string, Batcher>()
  /** @internal Called with the number of images of each batch before it is computed: one for each server of the model. */
  readonly batchListeners = new Set<(count: number) => void>()

  /** @internal */
  constructor(parts: ModelParts) {
    if (!is.object(parts) || !is.object(parts.network) || !Array.isArray(parts.classes))
      throw invalid(
        'parts',
        'the arguments that createModel and loadModel pass. Call these functions instead',
        parts,
      )
    this.#network = parts.network
    this.architecture = parts.architecture
    this.networkOptions = Object.freeze({ ...parts.networkOptions })
    this.loadReport = parts.loadReport
    this.#classes = Object.freeze([...parts.classes])
    this.#preprocessing = parts.preprocessing
    this.#untrained = parts.untrained ?? null
    this.#random = parts.loadReport === null && this.#untrained === null
  }

  /** @internal The native network; throws `ERR_DISPOSED`. */
  get network(): NativeModel {
    if (this.#network === undefined) {
      throw new VisionTorchError(
        'ERR_DISPOSED',
        `this ${this.architecture} was disposed. Create or load it again to use it`,
      )
    }
    return this.#network
  }

  /** The classes' names, in the order of the outputs; `'0'`, `'1'`, ... if none were given. */
  get classes(): readonly string[] {
    return this.#classes
  }

  get numClasses(): number {
    return this.#classes.length
  }

  /** `'cpu'` or `'cuda:N'`. */
  get device(): string {
    return this.network.device
  }

  get dtype(): ModelDType {
    return this.network.dtype
  }

  /** Which layers compute in integers with the type `int8`; null if the model is not quantised: see {@link quantize}. */
  get quantization(): QuantizationSummary | null {
    return this.network.quantization
  }

  get parameterCount(): number {
    return this.network.parameterCount
  }

  /** How images become the network's input. Training with another `inputSize` or `resize` changes it. */
  get preprocessing(): Readonly<Preprocessing> {
    return this.#preprocessing
  }

  set preprocessing(value: Readonly<Preprocessing> | PreprocessingName) {
    this.#preprocessing = Object.freeze(checkPreprocessing('preprocessing', value))
    this.#batchers.clear() // Their batches have the old size.
  }

  /** Whether training leaves the backbone unchanged: see {@link freeze}. */
  get frozen(): boolean {
    return this.#frozen
  }

  /**
   * Whether the classifier was never trained, so that its probabilities would be random: `predict` and `evaluate`
   * then throw `ERR_UNTRAINED`. False after training, and also for a network whose weights are all random on
   * request (`weights: null`).
   */
  get untrained(): boolean {
    return this.#untrained !== null
  }

  /** @internal Called after an update of the weights. */
  markTrained(): void {
    this.#untrained = null
    this.#random = false
  }

  /** @internal @throws ERR_UNTRAINED */
  checkTrained(allowUntrained: boolean): void {
    void this.network // throws if it was disposed
    if (this.#untrained === null || allowUntrained) return
    throw new VisionTorchError(
      'ERR_UNTRAINED',
      `the classifier of this ${this.architecture} was never trained: ${this.#untrained}. Its probabilities would be ` +
        'random. Train it, load weights with a classifier for these classes, or set allowUntrained: true',
      { options: ['allowUntrained'] },
    )
  }

  /** @internal @throws ERR_UNTRAINED, or ERR_INVALID_ARGUMENT for one output, whose softmax is always 1. */
  checkGivesProbabilities(allowUntrained: boolean): void {
    this.checkTrained(allowUntrained)
    if (this.numClasses === 1) {
      throw new VisionTorchError(
        'ERR_INVALID_ARGUMENT',
        `this ${this.architecture} has one output, and a softmax over one output is always 1: it is a network for ` +
          'regression, or for two classes that its sign tells apart. Use a classifier of two classes or more',
      )
    }
  }

  /** The most probable classes of an image, or of each of many: see {@link predict}. */
  predict(input: ImageInput, options?: PredictOptions): Promise<Prediction[]>
  predict(inputs: readonly ImageInput[], options?: PredictOptions): Promise<Prediction[][]>
  predict(
    input: ImageInput | readonly ImageInput[],
    options?: PredictOptions,
  ): Promise<Prediction[] | Prediction[][]> {
    return predict(this, input as ImageInput, options)
  }

  /**
   * The pooled vector before the classifier: 512 or 2048 numbers (ResNet), 1280 (MobileNetV2), 25088 (VGG). Use
   * it for similarity search, clustering, or your own classifier.
   */
  features(input: ImageInput, options?: FeatureOptions): Promise<Float32Array>
  features(inputs: readonly ImageInput[], options?: FeatureOptions): Promise<Float32Array[]>
  features(
    input: ImageInput | readonly ImageInput[],
    options?: FeatureOptions,
  ): Promise<Float32Array | Float32Array[]> {
    return features(this, input as ImageInput, options)
  }

  /**
   * Replaces the classifier by a new one with random weights for these classes. In VGG, the whole head of three
   * layers is new. Until it is trained, `predict` and `evaluate` throw `ERR_UNTRAINED`.
   *
   * @param classes Their names or their number.
   * @param options.seed The seed of the random weights, default 0.
   */
  async replaceClassifier(
    classes: readonly string[] | number,
    options: { seed?: number } = {},
  ): Promise<void> {
    const names = checkClasses('classes', classes)
    check.options('options', options, ['seed'])
    this.#checkIsFloat('get a new classifier')
    await this.network.replaceClassifier(names.length, checkSeed(options.seed))
    this.#classes = names
    if (!this.#random) this.#untrained = 'replaceClassifier() created a new one'
  }

  /** @internal Gives names to classes that were only numbered. */
  nameClasses(names: readonly string[]): void {
    this.#classes = Object.freeze([...names])
  }

  /** From now on, training changes only the classifier (`freeze()`), or everything (`freeze(false)`). */
  freeze(frozen = true): void {
    void this.network // throws if it was disposed
    this.#frozen = check.boolean('frozen', frozen)
  }

  /**
   * Loads weights from a `.pth` or safetensors file, of this or another program. They are found by the names and shapes of the network's
   * tensors, see {@link LoadReport}.
   *
   * @param options.strict Default true: every tensor of the network must be in the file with the same shape, and
   * nothing else. With false, the tensors that fit are loaded, and the report names the rest.
   * @throws VisionTorchError `ERR_CHECKPOINT_MISMATCH`, `ERR_NON_FINITE`, and those of reading a checkpoint. The model is
   * then unchanged.
   */
  async loadStateDict(path: string, options: { strict?: boolean } = {}): Promise<LoadReport> {
    check.options('options', options, ['strict'])
    const strict = check.boolean('strict', options.strict ?? true)
    this.#checkIsFloat('load weights')
    const { network } = this
    const checkpoint = await native().openCheckpoint(check.string('path', path), { verify: false })
    try {
      const metadata = savedMetadata(checkpoint)
      if (metadata.has('quantization')) {
        throw new VisionTorchError(
          'ERR_CHECKPOINT_MISMATCH',
          `${path}: expected floating-point weights, got those of a quantised model. Load it by loadModel()`,
        )
      }
      // In a file of ours 'state_dict' is the network, and 'ema' a part of the state of its training.
      const averaged = !metadata.has('architecture')
      const report = await network.loadStateDict(checkpoint, { averaged, classifier: 'whole', strict })
      const { architecture } = this
      await checkReport(report, { path, checkpoint, architecture, strict })
      if (report.numClasses === this.numClasses) {
        this.#untrained = savedUntrained(path, metadata)
        this.#random = false
      }
      return report
    } finally {
      checkpoint.dispose()
    }
  }

  /** Copies of all parameters and buffers by torchvision's names, in its order. */
  async stateDict(): Promise<Map<string, TensorData>> {
    return this.network.stateDict()
  }

  /**
   * The layers in the order of execution, for one image.
   * @param size The side of a square image or `[height, width]`, in pixels. Default: the model's own.
   */
  summary(size: InputSize = this.preprocessing.crop): ModelSummary {
    const inputSize = checkInputSize('size', size, 32, 4096)
    const { height, width } = toSize(inputSize)
    const layers = this.network.summary(height, width)
    return {
      architecture: this.architecture,
      inputSize,
      layers,
      parameterCount: this.parameterCount,
      multiplyAdds: layers.reduce((sum, layer) => sum + layer.multiplyAdds, 0),
    }
  }

  /**
   * Writes the model as a `torch.save` zip file, which Python reads with `torch.load(path, weights_only=True)`, or as a
   * safetensors file. The file is written under another name, flushed and renamed: a crash leaves the previous one
   * whole.
   *
   * @param options.format `'checkpoint'` (default): a file for {@link loadModel} with architecture, classes and
   * preprocessing, and the weights under `state_dict`. `'state_dict'`: only the weights, for torchvision's
   * `load_state_dict`. `'safetensors'`: the weights under torchvision's names, with the rest in the file's
   * metadata; `loadModel` and Python's `safetensors.torch.load_file` read it.
   */
  async save(
    path: string,
    options: { format?: 'checkpoint' | 'state_dict' | 'safetensors' } = {},
  ): Promise<void> {
    check.string('path', path)
    check.options('options', options, ['format'])
    const format = check.oneOf('format', options.format ?? 'checkpoint', [
      'checkpoint',
      'state_dict',
      'safetensors',
    ])
    if (format === 'safetensors') this.#checkIsFloat('be saved as safetensors')
    const { network } = this
    const container = format === 'safetensors' ? 'safetensors' : 'zip'
    const metadata =
      format === 'checkpoint'
        ? this.checkpointMetadata()
        : format === 'safetensors'
          ? safetensorsMetadata(this.checkpointMetadata())
          : null
    await replaceFile(path, file => native().saveModel(file.fd, network, metadata, null, { container }))
  }

  /**
   * Writes the model for other programs: as an ONNX file, or as a folder for transformers.js. The network's input is
   * `pixel_values` [batch, 3, height, width], images after the model's preprocessing; its output is `logits` [batch,
   * classes]. Its metadata holds `architecture`, and `classes` and `preprocessing` as JSON. Files are replaced as by
   * {@link save}. The layers of a quantised model compute in integers there, too.
   *
   * @throws VisionTorchError `ERR_INVALID_ARGUMENT`, `ERR_UNTRAINED`, `ERR_FILE_WRITE`, and with `calibration` those of
   * {@link quantize}.
   */
  async export(path: string, options: ExportOptions = {}): Promise<void> {
    check.string('path', path)
    const checked = checkExportOptions(options)
    if (checked.softmax || checked.format === 'transformers')
      this.checkGivesProbabilities(checked.allowUntrained)
    else this.checkTrained(checked.allowUntrained)
    const { calibration, signal, onProgress } = options
    using quantized =
      calibration === undefined ? undefined : await this.quantize(calibration, { signal, onProgress })
    await exportModel(path, exported(this), checked, quantized && exported(quantized))
  }

  /**
   * Returns a quantised copy of the model, whose file is smaller: most of its layers have weights and inputs in 8 bits.
   * Calibration images determine the range of each layer's input; no training is needed. The copy's `dtype` is `int8`.
   *
   * ```ts
   * using small = await model.quantize('data', { samples: 256 })
   * await small.save('best.int8.pth')
   * ```
   *
   * @param source Images like those to predict: a folder of images or another data set, as for {@link evaluate}, or an array of
   * images. Their classes do not matter.
   * @throws VisionTorchError `ERR_INVALID_ARGUMENT`, also for a model that is quantised already; `ERR_DATASET`,
   * `ERR_IMAGE_DECODE`, `ERR_NON_FINITE`, or the signal's reason. With `scales`, also `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`, and
   * `ERR_CHECKPOINT_CORRUPT`, `ERR_CHECKPOINT_UNSUPPORTED` or `ERR_CHECKPOINT_MISMATCH` if they are not those of this model.
   */
  async quantize(
    source: string | Dataset | readonly ImageInput[],
    options: QuantizeOptions = {},
  ): Promise<Model> {
    const checked = checkQuantizeOptions(options)
    this.#checkIsFloat('be quantised')
    const { architecture, networkOptions, classes, preprocessing, loadReport } = this
    const untrained = this.#untrained
    const network = await quantizeNetwork(this, source, checked)
    return new Model({
      network,
      architecture,
      networkOptions,
      classes,
      preprocessing,
      loadReport,
      untrained,
    })
  }

  /** @internal @throws ERR_INVALID_ARGUMENT if the model is quantised. */
  #checkIsFloat(action: string): void {
    if (this.quantization !== null)
      throw refuse(
        `this ${this.architecture} is quantised and cannot ${action}. Use the model from which it was made`,
      )
  }

  /** @internal What a checkpoint says about the model besides its weights; `loadModel` reads it. */
  checkpointMetadata(): Map<string, CheckpointValue> {
    const metadata = new Map<string, CheckpointValue>([
      ['architecture', this.architecture],
      ['classes', [...this.classes]],
      ['preprocessing', toMap(this.preprocessing)],
      ['options', toMap(this.networkOptions)],
    ])
    return this.#untrained !== null ? metadata.set('untrained', true) : metadata
  }

  /** Moves the network to a device, and converts it to `dtype` if one is given. */
  async to(device: Device, dtype: ModelDType = this.dtype): Promise<this> {
    const name = resolveDevice(device, native().runtimeInfo())
    await this.network.to(name, check.oneOf('dtype', dtype, MODEL_DTYPES))
    this.#batchers.clear() // their batches are in memory for the old device
    return this
  }

  /** Frees the network's memory now. Further calls do nothing. */
  dispose(): void {
    this.#network?.dispose()
    this.#network = undefined
    this.#batchers.clear()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** @internal The batcher that merges concurrent calls with the same `batchSize`. */
  batcher(output: 'logits' | 'features', batchSize: number): Batcher {
    void this.network // throws if it was disposed
    const key = `${output} ${batchSize}`
    let batcher = this.#batchers.get(key)
    if (batcher === undefined) {
      batcher = new Batcher(
        batchSize,
        () => this.createImageBatch(batchSize),
        async (batch, count) => {
          this.noteBatch(count)
          return this.network.forward(batch, count, output)
        },
      )
      this.#batchers.set(key, batcher)
    }
    return batcher
  }

  /** @internal Tells the listeners that a batch of so many images is computed. */
  noteBatch(count: number): void {
    for (const listener of this.batchListeners) listener(count)
  }

  /** @internal A batch that fits the model's preprocessing. */
  createBatch(capacity: number, bytes: ByteScale | null = null): ImageBatch {
    const { crop, mean, std } = this.preprocessing
    const { height, width } = toSize(crop)
    return new (native().ImageBatch)(capacity, height, width, mean, std, this.device !== 'cpu', bytes)
  }

  /** @internal As {@link createBatch}, for images only: they become what the network's first layer reads. */
  createImageBatch(capacity: number): ImageBatch {
    return this.createBatch(capacity, this.network.inputBytes)
  }
}

function exported(model: Model): ExportedModel {
  const { network, architecture, classes, preprocessing } = model
  return { network, architecture, classes, preprocessing, isQuantized: model.dtype === 'int8' }
}

/** @internal The argument `model` of a function. */
export function checkModel(model: unknown): Model {
  if (model instanceof Model) return model
  throw invalid('model', 'a Model, as createModel and loadModel return it', model)
}

/** @internal Names of classes: the given ones, or numbers. */
export function checkClasses(name: string, classes: unknown): readonly string[] {
  if (is.integer(classes)) {
    check.integer(name, classes, 1, 1_000_000)
    return Array.from({ length: classes }, (_, index) => String(index))
  }
  if (!Array.isArray(classes) || classes.length === 0 || !classes.every(is.string)) {
    throw invalid(name, 'the names of the classes, or their number', classes)
  }
  return Object.freeze([...checkClassNames(name, classes)])
}

/** @internal Names of classes in a file: like {@link checkClasses}, and none may be too long. */
export function checkSavedClasses(classes: unknown): readonly string[] {
  const isName = (name: unknown) => is.string(name) && name.length <= 1000
  if (!Array.isArray(classes) || !classes.every(isName)) {
    throw invalid('classes', 'names of at most 1000 characters', classes)
  }
  return checkClasses('classes', classes)
}

/** @internal PyTorch's seeds have 64 bits; JavaScript's integers have 53. */
export function checkSeed(seed: unknown): number {
  return check.integer('seed', seed ?? 0, 0)
}

/** @internal Why the classifier in a file of ours is untrained; null for any other file. */
export function savedUntrained(path: string, metadata: Map<CheckpointValue, CheckpointValue>): string | null {
  const said = metadata.has('architecture') && metadata.get('untrained') === true
  return said ? `${path} was saved before it was trained` : null
}

function toMap(object: object): Map<string, CheckpointValue> {
  return new Map(Object.entries(object).filter(([, value]) => value !== undefined))
}
