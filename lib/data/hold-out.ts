import { hash } from 'node:crypto'
import { check } from '../util/is.js'
import type { DatasetOptions, Sample, SplitName } from './dataset.js'
import { pause, SLICE, sortInSlices } from './sort.js'

/** The checked options of {@link holdOut}. */
export interface HoldOut {
  valFraction: number
  seed: number
  signal: AbortSignal | undefined
}

export const holdOutOptions = ({ valFraction, seed, signal }: DatasetOptions): HoldOut => ({
  valFraction: check.number('valFraction', valFraction ?? 0.1, 0, 0.9),
  seed: check.integer('seed', seed ?? 0, 0),
  signal,
})

/**
 * If a data set has only training images, moves a share of every class into a split `val`. The choice depends only on the
 * seed and on the paths below the root, so a data set that has been moved or has grown keeps (nearly) the same images.
 *
 * @returns warnings for the user.
 */
export async function holdOut(
  splits: Map<SplitName, Sample[]>,
  root: string,
  { valFraction, seed, signal }: HoldOut,
): Promise<string[]> {
  const samples = splits.get('train')
  if (samples === undefined || splits.size > 1 || valFraction === 0) return []
  const classes = new Map<number, { index: number; key: number }[]>()
  for (const [index, { path, label }] of samples.entries()) {
    const key = hash('sha1', `${seed}\0${path.slice(root.length)}`, 'buffer').readUIntBE(0, 6)
    const ofClass = classes.get(label)
    if (ofClass === undefined) classes.set(label, [{ index, key }])
    else ofClass.push({ index, key })
    if (index % SLICE === SLICE - 1) await pause(signal)
  }
  const held = new Uint8Array(samples.length)
  for (const ofClass of classes.values()) {
    const count = Math.min(Math.max(1, Math.round(ofClass.length * valFraction)), ofClass.length - 1)
    const ordered = await sortInSlices(ofClass, (a, b) => a.key - b.key || a.index - b.index, signal)
    for (const { index } of ordered.slice(0, count)) held[index] = 1
  }
  const val = samples.filter((_, index) => held[index] === 1)
  if (val.length === 0) return ['There are no validation images, because every class has only one image.']
  splits
    .set(
      'train',
      samples.filter((_, index) => held[index] === 0),
    )
    .set('val', val)
  return [
    `There are only training images, so ${val.length} of ${samples.length} are held out for validation (seed ${seed}).`,
  ]
}
