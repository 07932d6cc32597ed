import { type FileHandle, mkdir, open } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { EpochMetrics } from '../train/events.js'
import type { Observer, RunStart } from '../train/observer.js'

// TensorBoard's event files: TFRecords (length, masked CRC of the length, data, masked CRC of the data) of `Event`
// messages (tensorflow/core/util/event.proto, tensorflow/core/framework/summary.proto). Scalars need only five fields of
// the two messages, so they are encoded here instead of by a protobuf library.

/** Writes the metrics of each epoch, with `tensorboard: true`. */
export async function observeForTensorBoard(run: RunStart): Promise<Observer | null> {
  if (!run.options.tensorboard) return null
  const writer = await TensorBoardWriter.open(run.directory, run.firstEpoch === 1 ? 0 : run.firstEpoch)
  return {
    event(event) {
      if (event.type === 'epoch') writer.epoch(event)
    },
    close: () => writer.close(),
  }
}

/** Writes scalars that `tensorboard --logdir DIRECTORY` shows. */
export class TensorBoardWriter {
  readonly #file: FileHandle
  #pending: Promise<unknown> = Promise.resolve()

  private constructor(file: FileHandle) {
    this.#file = file
  }

  /**
   * Starts a new event file in `directory`. For a resumed run, `firstStep` tells TensorBoard to ignore the points from this
   * step on in earlier files.
   */
  static async open(directory: string, firstStep = 0): Promise<TensorBoardWriter> {
    await mkdir(directory, { recursive: true })
    const now = Date.now()
    const name = `events.out.tfevents.${Math.floor(now / 1000)}.${hostname()}.${process.pid}.${now % 1000}`
    const writer = new TensorBoardWriter(await open(join(directory, name), 'a'))
    writer.#append(event(now, 0, text(3, 'brain.Event:2')))
    if (firstStep > 0) writer.#append(event(now, firstStep, message(7, varint(1, 1))))
    return writer
  }

  /**
   * Adds one point to each tag, for example `{ 'loss/train': 0.31 }`. TensorBoard shows values that are not finite as
   * gaps.
   */
  scalars(step: number, values: Readonly<Record<string, number>>): void {
    const summary = Object.entries(values).map(([tag, value]) =>
      message(1, Buffer.concat([text(1, tag), float(2, value)])),
    )
    this.#append(event(Date.now(), step, message(5, Buffer.concat(summary))))
  }

  /** Adds the metrics of an epoch; the epoch is the step. */
  epoch(metrics: EpochMetrics): void {
    this.scalars(metrics.epoch, {
      'loss/train': metrics.trainLoss,
      'loss/validation': metrics.validationLoss,
      'accuracy/train top-1': metrics.trainTop1,
      'accuracy/validation top-1': metrics.top1,
      'accuracy/validation top-5': metrics.top5,
      'learning rate': metrics.learningRate,
      'images per second': metrics.imagesPerSecond,
    })
  }

  /** Waits until everything is written. Rejects if a write failed, for example because the disk is full. */
  async close(): Promise<void> {
    try {
      await this.#pending
    } finally {
      await this.#file.close()
    }
  }

  #append(data: Buffer): void {
    this.#pending = this.#pending.then(() => this.#file.write(record(data)))
    // The failure is reported by close(); until then it must not count as an unhandled rejection.
    this.#pending.catch(() => {})
  }
}

function event(milliseconds: number, step: number, content: Buffer): Buffer {
  const wallTime = double(1, milliseconds / 1000)
  return Buffer.concat(step === 0 ? [wallTime, content] : [wallTime, varint(2, step), content])
}

function record(data: Buffer): Buffer {
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(data.length))
  return Buffer.concat([length, maskedCrc(length), data, maskedCrc(data)])
}

// Protobuf's wire format: a key (field number and wire type), then the value.
const key = (field: number, wireType: number) => Buffer.of((field << 3) | wireType)

function varint(field: number, value: number): Buffer {
  return Buffer.concat([key(field, 0), variableLength(value)])
}

function variableLength(value: number): Buffer {
  const bytes = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128)
  return Buffer.from([...bytes, value])
}

function double(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeDoubleLE(value)
  return Buffer.concat([key(field, 1), bytes])
}

function float(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeFloatLE(value)
  return Buffer.concat([key(field, 5), bytes])
}

function message(field: number, content: Buffer): Buffer {
  return Buffer.concat([key(field, 2), variableLength(content.length), content])
}

function text(field: number, value: string): Buffer {
  return message(field, Buffer.from(value))
}

// CRC-32C (Castagnoli), reflected; zlib.crc32 uses a different polynomial.
const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1
  return crc
})

function maskedCrc(data: Buffer): Buffer {
  let crc = 0xffffffff
  for (const byte of data) crc = (crc >>> 8) ^ crcTable[(crc ^ byte) & 255]!
  crc = ~crc >>> 0
  const masked = Buffer.alloc(4)
  masked.writeUInt32LE((((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0)
  return masked
}
