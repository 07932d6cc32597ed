import { type CheckpointValue, type Container, type DType, native } from '../native/native.js'
import { replaceFile } from '../util/files.js'
import { check } from '../util/is.js'

/** What a checkpoint holds, without its data. */
export interface CheckpointSummary {
  /** How the file is packed: `zip` (torch >= 1.6), `legacy` (before), `tar` (torch 0.1), `safetensors`. */
  container: Container | 'tar'
  /**
   * Every tensor in the order of the file. `name` is the keys that lead to it, joined by `/`
   * (`state_dict/conv1.weight`; empty when the file is one tensor), `bytes` its size.
   */
  tensors: { name: string; dtype: DType; shape: number[]; bytes: number }[]
  /**
   * Objects of Python classes that visiontorch does not read: where they lie, named as tensors are, and their class,
   * such as `argparse.Namespace`. {@link readCheckpoint} gives null for them.
   */
  skipped: { name: string; type: string }[]
  /** The values around the tensors: an epoch, a list of classes, an optimizer's options. */
  metadata: Map<CheckpointValue, CheckpointValue>
}

export interface ReadCheckpointOptions {
  /**
   * Check the checksum of every record of a zip file. Default: only of the small ones (up to 64 KiB), since checking
   * large ones takes longer than loading them.
   */
  verify?: boolean
}

/**
 * Reads a `.pth` file of any version of `torch.save`: all that `torch.load(path, weights_only=True)` of PyTorch 2.13 reads,
 * NumPy's numbers and arrays, and files with other Python objects, which are skipped. Nothing in the file is run. Also
 * reads a safetensors file: a Map of its tensors, with its metadata under `__metadata__`.
 *
 * Dictionaries become Maps in the file's order (a Map of one entry for `{'epoch': 3}`), lists, tuples and sets arrays,
 * ints beyond 2^53 bigints, bytes and bytearrays `Uint8Array`s, complex numbers Maps of `real` and `imag`, skipped objects
 * null. Tensors become {@link TensorData}, row by row; one that lies in several places is one object. Quantized, sparse,
 * nested and meta tensors become Maps of their parts: see docs/checkpoints.md.
 *
 * @throws VisionTorchError `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`; `ERR_CHECKPOINT_CORRUPT` for a damaged file, or one that
 * would take more than 44 MiB and a few times its size of memory beside its tensors; `ERR_CHECKPOINT_UNSAFE` for one that
 * asks for code to be run; `ERR_CHECKPOINT_UNSUPPORTED` for whole pickled models, TorchScript and files of other formats.
 */
export async function readCheckpoint(
  path: string,
  options?: ReadCheckpointOptions,
): Promise<CheckpointValue> {
  using file = await open(path, options)
  return await file.checkpoint.read()
}

/**
 * Lists what a `.pth` or safetensors file holds and loads no tensor. The same checks as in {@link readCheckpoint}, the same errors.
 */
export async function inspectCheckpoint(
  path: string,
  options?: ReadCheckpointOptions,
): Promise<CheckpointSummary> {
  using file = await open(path, options)
  const { tensors, skipped, metadata } = file.checkpoint.inspect()
  return {
    container: file.checkpoint.container,
    tensors,
    skipped,
    metadata: metadata as CheckpointSummary['metadata'],
  }
}

export interface WriteCheckpointOptions {
  /** `zip` (default): of torch >= 1.6; `legacy`: any version of PyTorch reads it; `safetensors`. */
  container?: Container
}

/**
 * Writes a `.pth` file that Python reads with `torch.load(path, weights_only=True)`, or a safetensors file. Maps become
 * dicts, arrays lists, integers ints, other numbers floats. Tensors with the same `data` are written once, and share it in
 * Python too. A safetensors file holds a Map of tensors by name, and may have a Map of strings under `__metadata__`.
 *
 * The content goes to a temporary file in the same directory, which is flushed and renamed: at any moment `path` is the
 * old file or the new one, whole.
 *
 * @throws VisionTorchError `ERR_INVALID_ARGUMENT`, naming the place in `value`; `ERR_FILE_WRITE`.
 */
export async function writeCheckpoint(
  path: string,
  value: CheckpointValue,
  options: WriteCheckpointOptions = {},
): Promise<void> {
  check.string('path', path)
  check.options('options', options, ['container'])
  const container = check.oneOf('container', options.container ?? 'zip', containers)
  await replaceFile(path, file => native().writeCheckpoint(file.fd, value, container))
}

/** @internal */
export const containers: readonly Container[] = ['zip', 'legacy', 'safetensors']

async function open(path: string, options: ReadCheckpointOptions = {}) {
  check.string('path', path)
  check.options('options', options, ['verify'])
  const checkpoint = await native().openCheckpoint(path, {
    verify: check.boolean('verify', options.verify ?? false),
  })
  return { checkpoint, [Symbol.dispose]: () => checkpoint.dispose() }
}
