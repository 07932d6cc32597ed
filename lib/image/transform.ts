import type { NativeTransform } from '../native/native.js'
import type { Rect } from '../native/operation.js'
import type { Preprocessing } from './preprocessing.js'
import { roundHalfToEven } from './round.js'

/** Width and height of a decoded image, in pixels. */
export interface Size {
  width: number
  height: number
}

/** The transform of evaluation and prediction for an image of this size. */
export function evalTransform(preprocessing: Preprocessing, size: Size): NativeTransform {
  const { crop, resize, interpolation: filter, mode, fill } = preprocessing
  const { width, height } = size
  const from: Rect = [0, 0, width, height]
  if (mode === 'squish') return [{ op: 'resize', from, size: [crop, crop], crop: [0, 0, crop, crop], filter }]
  if (mode === 'pad' || mode === 'letterbox') {
    const scale = crop / Math.max(width, height)
    const round = mode === 'pad' ? Math.round : Math.floor // as int() in Python
    const fitted = [width, height].map(side => Math.max(1, round(side * scale))) as [number, number]
    const at = fitted.map(side => (crop - side) >> 1) as [number, number]
    return [
      { op: 'resize', from, size: fitted, crop: [0, 0, ...fitted], filter },
      { op: 'pad', size: [crop, crop], at, fill },
    ]
  }
  const resized = resizeShorter(size, resize)
  const [left, top] = resized.map(side => roundHalfToEven((side - crop) / 2)) as [number, number]
  return [{ op: 'resize', from, size: resized, crop: [left, top, crop, crop], filter }]
}

/** torchvision's Resize of the shorter side (transforms/functional.py: _compute_resized_output_size). */
function resizeShorter({ width, height }: Size, shorter: number): [number, number] {
  const longer = Math.trunc((shorter * Math.max(width, height)) / Math.min(width, height))
  return width <= height ? [shorter, longer] : [longer, shorter]
}
