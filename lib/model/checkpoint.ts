import { type CheckpointValue, type Container, type DType, native } from '../native/native.js'
import { replaceFile } from '../util/files.js'
import { check } from '../util/is.js'

/** The content of a checkpoint, without its data. */
export interface CheckpointSummary {
  /** How the file is packed: `zip` (torch >= 1.6), `legacy` (before), `tar` (torch 0.1), `safetensors`. */
  container: Container | 'tar'
  /**
   * Every tensor in the order of the file. `name` consists of the keys that lead to it, joined by `/`
   * (`state_dict/conv1.weight`; empty if the file is a single tensor); `bytes` is its size.
   */
  tensors: { name: string; dtype: DType; shape: number[]; bytes: number }[]
  /**
   * Objects of Python classes that visiontorch does not read: their place, named like that of a tensor, and their
   * class, such as `argparse.Namespace`. {@link readCheckpoint} returns null for them.
   */
  skipped: { name: string; type: string }[]
  /** The values around the tensors: an epoch, a list of classes, an optimizer's options. */
  metadata: Map<CheckpointValue, CheckpointValue>
}

export interface ReadCheckpointOptions {
  /**
   * Checks the checksum of every record of a zip file. By default, only small records (up to 64 KiB) are checked,
   * because checking large ones takes longer than loading them.
   */
  verify?: boolean
}

/**
 * Reads a `.pth` file of any version of `torch.save`: everything that `torch.load(path, weights_only=True)` of PyTorch 2.13
 * reads, NumPy's numbers and arrays, and files with other Python objects, which are skipped. Nothing in the file is run.
 * Also reads a safetensors file as a Map of its tensors, with its metadata under `__metadata__`.
 *
 * Dictionaries become Maps in the file's order (a Map of one entry for `{'epoch': 3}`); lists, tuples and sets become
 * arrays; ints beyond 2^53 become bigints; bytes and bytearrays become `Uint8Array`s; complex numbers become Maps of
 * `real` and `imag`; skipped objects become null. Tensors become {@link TensorData}, row by row; a tensor that occurs in
 * several places is one object. Quantized, sparse, nested and meta tensors become Maps of their parts: see
 * docs/checkpoints.md.
 *
 * @throws VisionTorchError `ERR_FILE_NOT_FOUND`, `ERR_FILE_READ`; `ERR_CHECKPOINT_CORRUPT` for a damaged file, or one that
 * would take more memory than 44 MiB and a few times its size in addition to its tensors; `ERR_CHECKPOINT_UNSAFE` for a
 * file that asks to run code; `ERR_CHECKPOINT_UNSUPPORTED` for whole pickled models, TorchScript and files of other
 * formats.
 */
export async function readCheckpoint(
  path: string,
  options?: ReadCheckpointOptions,
): Promise<CheckpointValue> {
  using file = await open(path, options)
  return await file.checkpoint.read()
}

/**
 * Lists the content of a `.pth` or safetensors file without loading a tensor. Checks and errors are those of {@link
 * readCheckpoint}.
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
  /** `zip` (default): for torch >= 1.6; `legacy`: for any version of PyTorch; or `safetensors`. */
  container?: Container
}

/**
 * Writes a `.pth` file that Python reads with `torch.load(path, weights_only=True)`, or a safetensors file. Maps become
 * dicts, arrays become lists, integers become ints, and other numbers become floats. Tensors with the same `data` are
 * written once, and share it in Python, too. A safetensors file holds a Map of tensors by name, and may have a Map of
 * strings under `__metadata__`.
 *
 * The content goes to a temporary file in the same directory, which is flushed and renamed: at any moment, `path` is
 * either the complete old file or the complete new one.
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
