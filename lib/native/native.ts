import { isMainThread } from 'node:worker_threads'
import type { VisionTorchError } from '../util/errors.js'
import { loadAddon } from './load.js'
import type { Operation, Rect } from './operation.js'

// The addon's interface. Calls are coarse (load this file, predict this batch, do one training step), callers
// validate the arguments, and every rejection is a VisionTorchError.

export type DType =
  | 'float64'
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'int64'
  | 'int32'
  | 'int16'
  | 'int8'
  | 'uint8'
  | 'bool'
  | RareDType

/** Types that visiontorch reads and writes, but does not compute with. */
export type RareDType =
  | 'uint64'
  | 'uint32'
  | 'uint16'
  | 'complex128'
  | 'complex64'
  | 'complex32'
  | `float8_${'e4m3fn' | 'e4m3fnuz' | 'e5m2' | 'e5m2fnuz' | 'e8m0fnu'}`
  | 'float4_e2m1fn_x2'
  | `bits${'8' | '16' | '1x8' | '2x4' | '4x2'}`
  | `${'int' | 'uint'}${1 | 2 | 3 | 4 | 5 | 6 | 7}`

/**
 * A tensor that was copied out of native memory. Types that JavaScript lacks, such as float16, are bytes; complex64
 * and complex128 are alternating real and imaginary parts.
 */
export interface TensorData {
  dtype: DType
  shape: number[]
  data:
    | Float64Array
    | Float32Array
    | BigInt64Array
    | BigUint64Array
    | Int32Array
    | Uint32Array
    | Int16Array
    | Uint16Array
    | Int8Array
    | Uint8Array
}

/**
 * Plain values in checkpoints, as they are passed to JavaScript. Dictionaries are Maps, in the file's order. Python's
 * bytes are a Uint8Array, and cannot be written.
 */
export type CheckpointValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | CheckpointValue[]
  | Map<CheckpointValue, CheckpointValue>
  | TensorData
  | Uint8Array

export interface RuntimeInfo {
  /** The version that the loaded LibTorch reports: "2.13.0". */
  libtorchVersion: string
  /** Its libtorch_cpu.so. */
  libtorchPath: string
  /** Threads of one operation on the CPU. */
  threads: number
  /** The instruction set that LibTorch uses: "AVX512", "AVX2" or "DEFAULT". */
  cpuCapability: string
  /**
   * The kernels that compute convolutions on the CPU: visiontorch's own for "AVX512_BF16", "AVX512", "AVX2", "NEON_BF16" or
   * "NEON", or LibTorch's, "oneDNN". The environment variable `VISIONTORCH_KERNELS` forces lower ones: see
   * docs/environment.md.
   */
  kernels: string
  /**
   * Whether the processor multiplies bfloat16 (AVX512-BF16, or Arm's BF16). If it does not, `dtype: 'bfloat16'` means float32 on
   * the CPU, which is more than ten times as fast there.
   */
  bfloat16: boolean
  cuda: boolean
  cudaDevices: number
  /**
   * Whether cuDNN has computed convolution, residual and ReLU as one kernel on a GPU in this process. `unsupported`:
   * cuDNN refused at least one convolution, so separate operators compute it, and predictions take longer.
   */
  cudnnFusion: 'untried' | 'used' | 'unsupported'
}

/** How a checkpoint is packed. Files of torch 0.1 (`tar`) are read, but not written. */
export type Container = 'zip' | 'legacy' | 'safetensors'

/** The type in which a file stores floating-point weights. */
export type WeightsDType = 'float32' | 'float16' | 'bfloat16'

export interface OpenCheckpointOptions {
  /** Checks the checksums of all records, not only those of small ones. */
  verify: boolean
  /** Lets a model's tensors share the file's memory if possible. Default false. */
  mmap?: boolean
}

/** An opened and checked checkpoint file. Its tensors are read on request. */
export interface NativeCheckpoint {
  readonly container: Container | 'tar'
  /** The file's content without its data: tensors by path, and the plain values around them. */
  inspect(): {
    tensors: { name: string; dtype: DType; shape: number[]; bytes: number }[]
    /** Objects of classes that are not read: their place, and their class. */
    skipped: { name: string; type: string }[]
    metadata: CheckpointValue
  }
  /** The whole content, with copies of the tensors. */
  read(): Promise<CheckpointValue>
  dispose(): void
}

/**
 * What was found in a file of weights, where, and how it fits the network. Names are the network's unless stated
 * otherwise.
 */
export interface LoadReport {
  /** The network's tensors that the file has, with the right shapes. */
  loaded: string[]
  /** The network's tensors that the file lacks. */
  missing: string[]
  /** Tensors of the file, by their names in it after `prefix`, that belong to no layer of the network. */
  unexpected: string[]
  /** Tensors whose shape in the file differs. They were not loaded. */
  mismatched: { name: string; expected: number[]; got: number[] }[]
  /**
   * What else the file holds next to the weights: counters of profilers (`total_ops`) and of averaging (`n_averaged`),
   * losses, and Python objects, with their classes.
   */
  skipped: string[]
  /** The keys that lead to the weights in the file, joined by `/`: `state_dict`. Empty at the top of the file. */
  wrapper: string
  /** The prefix of the network's names in the file: `module.`. */
  prefix: string
  /** Whether a moving average of the weights (`state_dict_ema`, `model_ema`) was taken. */
  averaged: boolean
  /**
   * Other places in the file, at most seven, that hold the network's weights just as completely, such as the raw
   * weights.
   */
  others: string[]
  /** The file's name for the last layer: `fc`, or `fc.1` if that was replaced. Empty if there is none that fits. */
  classifier: string
  /** The number of classes that the file's classifier has, or null if it has none that fits. */
  numClasses: number | null
  /** The linear layers of a classifier that does not fit this network, because it has two layers or other inputs. */
  head: { name: string; shape: number[] }[]
}

/** Which weights of a file are meant. */
export interface MatchOptions {
  /** Whether to take the moving average if the file holds both it and raw weights. */
  averaged: boolean
  /** How much of the file's classifier to take: all of it, all but the last layer, or nothing. */
  classifier: 'whole' | 'hidden' | 'none'
}

export interface NetworkOptions {
  dropout?: number
  widthMult?: number
  invertedResidualSetting?: number[][]
  roundNearest?: number
  zeroInitResidual?: boolean
  groups?: number
  widthPerGroup?: number
  replaceStrideWithDilation?: boolean[]
  reducedTail?: boolean
  dilated?: boolean
  stochasticDepthProb?: number
  stemWidth?: number
  /** DenseNet: the channels between a layer's two convolutions, as a multiple of those that the layer adds. Default 4. */
  bnSize?: number
  /** DenseNet: dropout after each layer. Default 0. */
  dropRate?: number
  /**
   * GoogLeNet and Inception V3: auxiliary heads, whose losses help to train the layers below them; predictions do not
   * use them. Default true, but false for GoogLeNet with official weights, which were published without trained heads.
   */
  auxLogits?: boolean
  /**
   * GoogLeNet and Inception V3: converts images that were normalised by ImageNet's mean and deviation to the range
   * that Google's weights expect. Default false, but true with official weights.
   */
  transformInput?: boolean
  /** GoogLeNet: dropout in the auxiliary heads. Default 0.7. */
  dropoutAux?: number
  layerScale?: number
  batchNormEps?: number
  imageSize?: number
  patchSize?: number
  numLayers?: number
  numHeads?: number
  hiddenDim?: number
  mlpDim?: number
  attentionDropout?: number
  representationSize?: number
  mlpRatio?: number
  mlpDropout?: number
  squeezeRatio?: number
  expansionRatio?: number
}

/** Networks that one file of `native/nn` describes. */
export interface Family {
  name: string
  /** torchvision's names. */
  architectures: string[]
  /** How many pooled features each of these has, in the same order, with the default options. */
  features: number[]
  /** Whether the classifier takes these; otherwise it takes features of each pixel, and pools its own results. */
  classifiesFeatures: boolean
  /** The constructor's options that these networks have. */
  options: (keyof NetworkOptions)[]
  /** The layer whose outputs are the classes, by its name in the state dict. */
  classifierLayer: string
}

export interface LayerSummary {
  name: string
  type: string
  outputShape: number[]
  parameters: number
  multiplyAdds: number
}

/** An ONNX operation. Its inputs and its only output are names; integers are bigints, other numbers float32. */
export interface OnnxOperation {
  type: string
  inputs: string[]
  output: string
  attributes: Record<string, bigint | number | string | bigint[]>
}

/** A network as ONNX operations in the order of execution, with their tensors. */
export interface OnnxGraph {
  input: string
  output: string
  operations: OnnxOperation[]
  tensors: Map<string, TensorData>
}

/** How values are stored as bytes: value = scale * (byte - zeroPoint). */
export interface ByteScale {
  scale: number
  zeroPoint: number
}

/** A network: parameters, buffers, and the inference plan that is built from them when needed. */
export interface NativeModel {
  readonly numClasses: number
  readonly parameterCount: number
  readonly device: string
  readonly dtype: 'float32' | 'bfloat16' | 'int8'
  /**
   * The layers that compute in integers with the type int8, and those that do not; null if the model is not
   * quantised.
   */
  readonly quantization: { int8: string[]; float: string[] } | null
  /** The bytes that the first layer reads, if it computes in integers: see {@link Addon.ImageBatch}. */
  readonly inputBytes: ByteScale | null
  /** Layers for one image of this size, in the order of execution. */
  summary(height: number, width: number): LayerSummary[]
  /** The state dict's names, shapes and types, in PyTorch's order. */
  entries(): { name: string; shape: number[]; dtype: DType }[]
  replaceClassifier(numClasses: number, seed: number): Promise<void>
  /**
   * {@link Addon.matchWeights} for this network, and loads what fits; with `strict` only if everything does.
   * ERR_NON_FINITE if a tensor holds a number that is not finite.
   */
  loadStateDict(
    checkpoint: NativeCheckpoint,
    options: MatchOptions & { strict: boolean },
  ): Promise<LoadReport>
  /** The first tensor of the state dict that holds a number that is not finite, or null. */
  firstNonFinite(): Promise<string | null>
  stateDict(): Promise<Map<string, TensorData>>
  /** Eval mode. Logits [count, numClasses] or pooled features [count, n], row by row. */
  forward(batch: ImageBatch, count: number, output: 'logits' | 'features'): Promise<Float32Array>
  /** `int8` is for quantised models. */
  to(device: string, dtype: 'float32' | 'bfloat16' | 'int8'): Promise<void>
  dispose(): void
}

/** Finds out how a network can compute in integers: see native/quantize/calibrator.h. */
export interface NativeCalibrator {
  /**
   * Quantises these layers, and no others, with these scales, which have a `weightScale` for each output or for all. Takes the
   * place of {@link observe}.
   */
  use(
    scales: readonly {
      name: string
      inputScale: number
      inputZeroPoint: number
      weightScale: Float32Array
    }[],
  ): Promise<void>
  /** Notes the ranges of all layers' inputs for the first `count` images. */
  observe(batch: ImageBatch, count: number): Promise<void>
  /**
   * Compares each layer in integers with the same layer in floating point, to correct its bias. After {@link observe} or
   * {@link use}.
   */
  measure(batch: ImageBatch, count: number): Promise<void>
  /** The names of the layers that can be quantised, in the order of the state dict. */
  layers(): Promise<string[]>
  /** The network with all layers but these in integers. */
  quantize(floatLayers: readonly string[]): Promise<NativeModel>
}

export interface TrainerOptions {
  /** Its name and its hyperparameters, as lib/train/optimizers.ts lists them. */
  optimizer: { name: string; [hyperparameter: string]: string | number | boolean | readonly number[] }
  /** Weight decays that differ from the optimizer's. */
  normWeightDecay?: number | null
  biasWeightDecay?: number | null
  transformerEmbeddingDecay?: number | null
  /** The learning rate of a stage as a share of that of the next, or null. */
  layerDecay?: number | null
  /** What is never trained: a number of first stages, the parameters whose names begin with a text, or nothing. */
  freeze?: number | string | null
  /** Cross entropy: 0 to 1. */
  labelSmoothing: number
  /** Cross entropy: a weight for each class, or null. */
  classWeights: Float32Array | null
  /** Largest total norm of the gradients, or null. */
  clipGradNorm: number | null
  /** Exponential moving average of the weights, or null. */
  ema: { decay: number } | null
  /** bfloat16, or float16 with a scaled loss: the forward and backward pass, with float32 master weights. */
  dtype: 'float32' | 'bfloat16' | 'float16'
  /** In a group: batch norms use the statistics of the batches of all ranks. */
  syncBatchNorm?: boolean
}

export interface StepOptions {
  learningRate: number
  /** Seeds dropout: derived from (seed, step), so that a resumed run draws what an uninterrupted one would have. */
  seed: number
  /** The weight of this micro-batch in the update: 1 without gradient accumulation. */
  scale: number
  /** True for the last micro-batch of an update; in a group always false, see {@link NativeTrainer.update}. */
  update: boolean
  /** In a group: this rank's last micro-batch of the update, after which its gradients go to the other ranks. */
  last?: boolean
  /** Second labels and their weight (mixup, CutMix), or null: loss = weight * CE(labels) + (1 - weight) * CE(mixed). */
  mixed: { labels: Int32Array; weight: number } | null
}

export interface StepResult {
  /** Mean loss of the batch; if it is not finite, nothing was updated. */
  loss: number
  correct: number
  /**
   * Total norm of the gradients before clipping, if they were clipped and the step updated the weights; otherwise
   * NaN.
   */
  gradNorm: number
}

/** One optimisation step at a time over the model's own parameters. */
export interface NativeTrainer {
  /** Freezes all but the classifier. With `batchNormEval`, frozen batch norms keep their running statistics. */
  setFrozen(frozen: boolean, batchNormEval: boolean): Promise<void>
  /** With `syncBatchNorm`, a rank that has no micro-batch while others do takes this step with no labels. */
  step(batch: ImageBatch, labels: Int32Array, options: StepOptions): Promise<StepResult>
  /** {@link step} for a frozen backbone whose pooled features [labels.length, n] are known. */
  stepFeatures(features: Float32Array, labels: Int32Array, options: StepOptions): Promise<StepResult>
  /** The averaged network if `ema` was given, otherwise null. Shares its tensors with the trainer. */
  readonly ema: NativeModel | null
  /** Shares every update with the other ranks of a group, which must all train the same network. */
  join(group: NativeProcessGroup): Promise<void>
  /**
   * Ends an update in a group: sums the gradients and these numbers over the ranks, and changes the parameters unless one
   * of the numbers is not finite. All ranks call it, including those that had no micro-batch.
   */
  update(learningRate: number, numbers: Float64Array): Promise<{ numbers: Float64Array; gradNorm: number }>
  /** In a group: overwrites all parameters and buffers, including the averaged ones, with those of rank 0. */
  broadcast(): Promise<void>
  /** In a group: the same for the buffers alone, which batch norm updates from a rank's own images. */
  broadcastBuffers(): Promise<void>
  /** A checksum of all parameters and buffers, including the averaged ones. */
  checksum(): Promise<number>
  /** Continues from a checkpoint's `optimizer` (PyTorch's `optimizer.state_dict()` layout) and `ema`. */
  loadState(checkpoint: NativeCheckpoint): Promise<void>
}

/**
 * The connected processes of a job, which must all call the same operations in the same order. Every failure is
 * `ERR_DISTRIBUTED` and names the rank that caused it, if the others know it; the group cannot be used after that.
 */
export interface NativeProcessGroup {
  /** The bytes of rank 0. What the other ranks pass is ignored. */
  broadcast(bytes: Uint8Array): Promise<Uint8Array>
  /** The bytes of every rank, which may differ in length. */
  allGather(bytes: Uint8Array): Promise<Uint8Array[]>
  /** The sums over all ranks, the same on each. Each rank passes the same number of values. */
  sum(numbers: Float64Array): Promise<Float64Array>
  /** Leaves the group once all ranks want to. */
  close(): Promise<void>
  /** Leaves the group at once. The other ranks' operations fail with this message. */
  fail(message: string): Promise<void>
}

export interface JoinGroupOptions {
  rank: number
  worldSize: number
  masterAddress: string
  masterPort: number
  /** The time limit for joining and for each operation, in milliseconds. */
  timeout: number
  /** Whether rank 0 serves the store at that address; false if a launcher does. */
  hostsStore: boolean
  /** The prefix of the store's keys, a different one for each attempt and each group. */
  prefix: string
}

/**
 * Images on their way into the network: float32, `capacity` x 3 x `height` x `width`, channels last, normalised.
 * Several threads fill it at the same time, with one image per call.
 */
export interface ImageBatch {
  readonly capacity: number
  readonly height: number
  readonly width: number
  /** Decoded RGB rows -> transform -> normalised image `index`. Runs on the thread pool. */
  set(index: number, pixels: Pixels, transform: NativeTransform): Promise<void>
  /** Sets exactly these values (N x 3 x H x W, row by row), for tests and for callers with their own preprocessing. */
  setTensor(values: Float32Array): void
  /** The values of the first `count` images, in the order of {@link setTensor}. */
  getTensor(count: number): Float32Array
  /**
   * Mixes each of the first `count` images with the one before it, and the first with the last: weight x own + (1 -
   * weight) x neighbour, or, with a box, the neighbour's pixels inside it. All images must have been set.
   */
  mix(count: number, weight: number, box: Rect | null): Promise<void>
}

/** Decoded bytes, rows of pixels: 3 channels are RGB, 1 gray, 4 RGBA (alpha is dropped). */
export interface Pixels {
  data: Uint8Array
  width: number
  height: number
  channels: number
}

/** The steps from an image to its place in a batch; lib/image/transform.ts builds them. */
export type NativeTransform = readonly Operation[]

export interface Addon {
  runtimeInfo(): RuntimeInfo
  setThreads(threads: number): void
  /** Waits for the running task and starts no other. Called at the end of the process. */
  stop(): void
  setErrorClass(errorClass: typeof VisionTorchError): void

  openCheckpoint(path: string, options: OpenCheckpointOptions): Promise<NativeCheckpoint>
  /**
   * Writes a checkpoint into an empty file, by default a zip file, with floating-point tensors converted to `dtype` if one
   * is given. The descriptor may be closed meanwhile. `ERR_FILE_WRITE` gives only the reason, because the caller knows the
   * path.
   */
  writeCheckpoint(
    descriptor: number,
    value: CheckpointValue,
    container?: Container,
    dtype?: WeightsDType,
  ): Promise<void>
  /**
   * {@link writeCheckpoint} of `metadata` with `state_dict` first, and of a trainer's `optimizer` (and `ema`) last. If
   * `metadata` is null, the file holds the network's state dict alone. In a safetensors file, weights and metadata are
   * side by side.
   */
  saveModel(
    descriptor: number,
    model: NativeModel,
    metadata: Map<string, CheckpointValue> | null,
    trainer: NativeTrainer | null,
    options?: {
      container?: Container
      /** The type of floating-point weights, default float32. */
      dtype?: WeightsDType
      /** False leaves the classifier out. */
      classifier?: boolean
      /** The names of the weights. Default torchvision's. */
      names?: 'torchvision' | 'timm'
    },
  ): Promise<void>

  /** All networks. */
  families(): Family[]
  /** If `seed` is null, the parameters are left uninitialised, to be loaded. */
  createModel(
    architecture: string,
    numClasses: number,
    seed: number | null,
    options: NetworkOptions,
  ): Promise<NativeModel>
  /**
   * Finds a network's weights in a file by the names and shapes of its tensors. Reads no tensor, and takes no memory for
   * the network, which is compared as if it had one class.
   */
  matchWeights(
    checkpoint: NativeCheckpoint,
    architecture: string,
    networkOptions: NetworkOptions,
    options: MatchOptions,
  ): Promise<LoadReport>
  /**
   * The network in eval mode, from normalised images [n, 3, height, width] to logits. Batch norms are folded into the
   * convolutions before them. Throws if the network does not take images of this size.
   */
  onnxGraph(model: NativeModel, height: number, width: number, opset: number): Promise<OnnxGraph>
  createCalibrator(model: NativeModel, method: 'minmax' | 'percentile' | 'mse'): Promise<NativeCalibrator>
  createTrainer(model: NativeModel, options: TrainerOptions): Promise<NativeTrainer>
  /** Connects this process with the others of its job; resolves once all have joined. */
  joinGroup(options: JoinGroupOptions): Promise<NativeProcessGroup>

  ImageBatch: new (
    capacity: number,
    height: number,
    width: number,
    mean: readonly [number, number, number],
    std: readonly [number, number, number],
    /** For a network on a GPU: pinned memory, which the GPU reads several times as fast. */
    pinned?: boolean,
    /** {@link NativeModel.inputBytes}: images become these bytes, without floats in between. Only `set` goes with it. */
    bytes?: ByteScale | null,
  ) => ImageBatch
  /** The RGB bytes after the transform, before normalisation. */
  transformPixels(
    pixels: Pixels,
    transform: NativeTransform,
  ): Promise<{ data: Uint8Array; width: number; height: number }>
  /**
   * Decodes a JPEG, BMP, PBM, PGM or PPM file to the same RGB as Pillow. Returns null for a file of another format, or one
   * that cannot be read. Rejects with `ERR_IMAGE_DECODE` for a file that is damaged or has more pixels than `mostPixels`;
   * the message says why, without the file's name. With `autoOrient`, a JPEG is turned upright by its EXIF data.
   */
  decodeFile(path: string, mostPixels: number, autoOrient?: boolean): Promise<Pixels | null>
  /** The same for the bytes of a file. */
  decodeBytes(file: Uint8Array, mostPixels: number, autoOrient?: boolean): Promise<Pixels | null>
  /**
   * Frees the memory of an array now, instead of at some later garbage collection; the array is empty afterwards. Leaves an
   * array alone that is only a part of its buffer.
   */
  release(data: Uint8Array): void
  /** Converts the bytes of a CMYK image, 4 for each pixel, to RGB as Pillow does. */
  cmykToRgb(data: Uint8Array): Promise<Uint8Array>
}

let loaded: Addon | undefined

/** The addon, loaded at the first call. */
export function native(): Addon {
  if (loaded === undefined) {
    const addon = loadAddon() as Addon
    // process.exit() destroys LibTorch without calling Node's clean-up hooks: nothing may compute at that time.
    if (isMainThread) process.once('exit', () => addon.stop())
    loaded = addon
  }
  return loaded
}
