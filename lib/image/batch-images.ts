import type { ImageBatch } from '../native/native.js'
import type { Preprocessing } from './preprocessing.js'

/** Converts the first `count` images of a batch back to RGB bytes, as the network sees them, with mixup and CutMix. */
export function batchImages(
  batch: ImageBatch,
  count: number,
  { mean, std }: Pick<Preprocessing, 'mean' | 'std'>,
): { data: Uint8Array; width: number; height: number }[] {
  const { width, height } = batch
  const plane = width * height
  const values = batch.getTensor(count)
  const byte = (image: number, pixel: number, c: number) =>
    Math.round((values[(image * 3 + c) * plane + pixel]! * std[c]! + mean[c]!) * 255)
  return Array.from({ length: count }, (_, image) => {
    const data = new Uint8Array(plane * 3)
    for (let i = 0; i < data.length; i++) {
      data[i] = Math.min(255, Math.max(0, byte(image, Math.floor(i / 3), i % 3)))
    }
    return { data, width, height }
  })
}
