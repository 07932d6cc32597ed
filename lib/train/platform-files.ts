import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type NativeModel, native } from '../native/native.js'
import { replaceFile } from '../util/files.js'
import type { EpochMetrics } from './events.js'

/**
 * Writes the same files as the platform of the preset `classification-pytorch`, with the same names: plain state dicts of
 * torchvision's networks, and the losses with one line per epoch.
 */
export class PlatformFiles {
  constructor(private readonly directory: string) {}

  /** Writes the files after an epoch, the last one in `history`. */
  async write(
    network: NativeModel,
    history: readonly EpochMetrics[],
    which: { isBest: boolean; isPeriodic: boolean },
  ): Promise<void> {
    const names = [
      ...(which.isBest ? ['best_epoch_weights.pth'] : []),
      ...(which.isPeriodic ? [periodicName(history.at(-1)!)] : []),
      'last_epoch_weights.pth',
    ]
    for (const name of names)
      await replaceFile(join(this.directory, name), file => native().saveModel(file.fd, network, null, null))
    await this.#writeLosses(
      'epoch_loss.txt',
      history.map(({ trainLoss }) => trainLoss),
    )
    await this.#writeLosses(
      'epoch_val_loss.txt',
      history.map(({ validationLoss }) => validationLoss),
    )
  }

  /** Removes the weights of an earlier epoch. */
  async remove(metrics: EpochMetrics | undefined): Promise<void> {
    if (metrics !== undefined) await rm(join(this.directory, periodicName(metrics)), { force: true })
  }

  async #writeLosses(name: string, losses: readonly number[]): Promise<void> {
    await replaceFile(join(this.directory, name), losses.map(loss => `${loss}\n`).join(''))
  }
}

/** `ep010-loss0.123-val_loss0.456.pth`: Python's `'ep%03d-loss%.3f-val_loss%.3f.pth'`. */
const periodicName = ({ epoch, trainLoss, validationLoss }: EpochMetrics): string =>
  `ep${String(epoch).padStart(3, '0')}-loss${trainLoss.toFixed(3)}-val_loss${validationLoss.toFixed(3)}.pth`
